/** A real aedes broker on a socket, with the few knobs that the MQTT tests need. */
import { createServer as createHttpServer } from 'node:http';
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { Aedes } from 'aedes';
import type { Test } from 'tap';
import { createWebSocketStream, WebSocketServer } from 'ws';
import type { KeyAndCertificate } from '../../../../loopback/ca.ts';
import { PermanentRefusal } from '../../../../loopback/permanent-refusal.ts';

export interface Broker {
  port: number;
  /** Payloads of PUBLISH packets, in order, with those that were then not acknowledged. */
  published: { topic: string; payload: Buffer; qos: number }[];
  /** TCP connections ever made. */
  connections(): number;
  /** Acknowledge nothing (null: again). With `cut`, the connection ends instead. */
  withhold(how: 'silent' | 'cut' | null): void;
  /** Return code of CONNACK; 0 lets in. */
  refuse(returnCode: number): void;
  /** Passwords that are no longer valid; clients that used them are disconnected. */
  revoke(password: string): void;
  /** Accepts the password again. */
  restore(password: string): void;
  /** MQTT 3.1.1 has no refusal of a PUBLISH (3.3.5): the connection ends. */
  refusal: PermanentRefusal;
  /** Publishes from another client. */
  publish(topic: string, payload: string): Promise<void>;
  /** Closes the port and its connections, keeping the sessions; and opens it again. */
  down(): Promise<void>;
  up(): Promise<void>;
}

export async function startBroker(
  t: Test,
  options: { tls?: KeyAndCertificate; ws?: boolean } = {},
): Promise<Broker> {
  let withheld: 'silent' | 'cut' | null = null;
  let returnCode = 0;
  let connections = 0;
  let port = 0;
  const published: Broker['published'] = [];
  const sockets = new Set<Socket>();
  const revoked = new Set(['wrong']);
  const refusal = new PermanentRefusal();
  const aedes = await Aedes.createBroker({
    authenticate: (_client, _username, password, callback) => {
      const code = returnCode || (revoked.has(password?.toString() ?? '') ? 5 : 0);
      if (code === 0) callback(null, true);
      else callback(Object.assign(new Error('refused'), { returnCode: code }), false);
    },
    authorizePublish: (client, packet, callback) => {
      published.push({ topic: packet.topic, payload: Buffer.from(packet.payload), qos: packet.qos });
      const isRefused =
        packet.topic.startsWith('headgate/') && refusal.verdict(packet.payload as Buffer) !== null;
      if (withheld === 'cut' || isRefused) client?.conn.destroy();
      // aedes acknowledges in the callback.
      else if (withheld === null) callback(null);
    },
  });
  const accept = (socket: Socket): void => {
    connections += 1;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    aedes.handle(socket);
  };
  const listening = (): Server => {
    if (options.tls) return createTlsServer(options.tls, accept);
    if (!options.ws) return createServer(accept);
    const next = createHttpServer();
    new WebSocketServer({ server: next, handleProtocols: () => 'mqtt' }).on('connection', (socket) => {
      aedes.handle(createWebSocketStream(socket));
    });
    return next;
  };
  let server: Server | null = null;
  const up = async (): Promise<void> => {
    const next = listening();
    server = next;
    await new Promise<void>((resolve) => next.listen(port, '127.0.0.1', resolve));
    const address = next.address();
    if (typeof address === 'object' && address) port = address.port;
  };
  const down = async (): Promise<void> => {
    const last = server;
    server = null;
    if (!last) return;
    const closed = new Promise<void>((resolve) => last.close(() => resolve()));
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  await up();
  t.after(async () => {
    await down();
    await new Promise<void>((resolve) => aedes.close(resolve));
  });
  return {
    get port() {
      return port;
    },
    published,
    refusal,
    connections: () => connections,
    withhold(how) {
      withheld = how;
    },
    refuse(code) {
      returnCode = code;
    },
    revoke(password) {
      revoked.add(password);
      for (const socket of sockets) socket.destroy();
    },
    restore: (password) => void revoked.delete(password),
    publish: (topic, payload) =>
      new Promise((resolve, reject) => {
        const packet = {
          cmd: 'publish' as const,
          qos: 1 as const,
          dup: false,
          retain: false,
          topic,
          payload,
        };
        aedes.publish(packet, (error) => (error ? reject(error) : resolve()));
      }),
    down,
    up,
  };
}
