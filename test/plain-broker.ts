/** A broker that takes everything, as a cloud of type mqtt. */
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { Aedes } from 'aedes';
import type { OnStored } from '../loopback/cloud.ts';

export async function startPlainBroker({ onStored }: { onStored?: OnStored | undefined } = {}): Promise<{
  port: number;
  stop(): Promise<void>;
}> {
  const aedes = await Aedes.createBroker();
  aedes.on('publish', ({ topic, payload, properties }, client) => {
    // Those without a client are of the broker itself.
    if (client === null) return;
    const data = Buffer.from(payload).toString('base64');
    onStored?.(JSON.stringify({ topic, client: client.id, properties, data }));
  });
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    aedes.handle(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    async stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await new Promise<void>((resolve) => aedes.close(resolve));
    },
  };
}
