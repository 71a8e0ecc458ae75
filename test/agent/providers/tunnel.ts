import { createServer, type Socket, connect as tcpConnect } from 'node:net';
import type { Test } from 'tap';

interface Tunnel {
  port: number;
  /** Connections ever made through it. */
  opened(): number;
  /** Those open now carry nothing any more, and are not closed either; new ones pass. */
  swallowOpen(): void;
}

/**
 * A TCP tunnel whose open connections can go silent for good, as after a NAT forgot them. Closed when the
 * test ends.
 */
export async function startTunnel(t: Test, targetPort: number): Promise<Tunnel> {
  const pairs: [Socket, Socket][] = [];
  const server = createServer((outer) => {
    const inner = tcpConnect({ port: targetPort, host: '127.0.0.1' });
    pairs.push([outer, inner]);
    for (const [from, to] of [[outer, inner] as const, [inner, outer] as const]) {
      from.pipe(to);
      from.on('error', () => to.destroy());
      from.on('close', () => to.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(async () => {
    for (const [outer] of pairs) outer.destroy();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    opened: () => pairs.length,
    swallowOpen() {
      for (const socket of pairs.flat()) socket.unpipe().resume();
    },
  };
}
