import { createServer, type Socket, connect as tcpConnect } from 'node:net';
import type { Test } from 'tap';

export interface Tunnel {
  port: number;
  /** Connections ever made through it. */
  opened(): number;
  /** Those open now carry nothing any more, and are not closed either; new ones pass. */
  swallowOpen(): void;
  /** From now on bytes stay in the tunnel, in these directions, until {@link release}. */
  hold(which: 'all' | 'answers'): void;
  release(): void;
  /** The open connections end. */
  cut(): void;
  /** Each new connection carries this much of its requests, and the rest after {@link release}. */
  thin(bytes: number): void;
}

interface Pair {
  outer: Socket;
  inner: Socket;
}

/**
 * A TCP tunnel whose open connections can go silent for good, as after a NAT forgot them, or stall for a
 * while. Closed when the test ends.
 */
export async function startTunnel(t: Test, targetPort: number): Promise<Tunnel> {
  const pairs = new Set<Pair>();
  const sockets: Socket[] = [];
  let opened = 0;
  let held: 'all' | 'answers' | null = null;
  let carried = Number.POSITIVE_INFINITY;
  const thin = new Set<Pair>();
  const flow = ({ outer, inner }: Pair): void => {
    join(outer, inner, held !== 'all');
    join(inner, outer, held === null);
  };
  const server = createServer((outer) => {
    const inner = tcpConnect({ port: targetPort, host: '127.0.0.1' });
    const pair = { outer, inner };
    opened += 1;
    pairs.add(pair);
    sockets.push(outer, inner);
    for (const [from, to] of [[outer, inner] as const, [inner, outer] as const]) {
      from.on('error', () => to.destroy());
      from.on('close', () => to.destroy());
    }
    if (carried === Number.POSITIVE_INFINITY) return flow(pair);
    thin.add(pair);
    let left = carried;
    outer.on('data', (chunk) => {
      inner.write(chunk.subarray(0, left));
      if (chunk.length > left) outer.pause().unshift(chunk.subarray(left));
      left = Math.max(0, left - chunk.length);
    });
    inner.pipe(outer);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    opened: () => opened,
    swallowOpen() {
      for (const { outer, inner } of pairs) for (const one of [outer, inner]) one.unpipe().resume();
      pairs.clear();
    },
    hold(which) {
      held = which;
      pairs.forEach(flow);
    },
    release() {
      held = null;
      carried = Number.POSITIVE_INFINITY;
      for (const { outer } of thin) outer.removeAllListeners('data');
      thin.clear();
      pairs.forEach(flow);
    },
    cut() {
      for (const { outer, inner } of pairs) for (const one of [outer, inner]) one.destroy();
      pairs.clear();
    },
    thin(bytes) {
      carried = bytes;
    },
  };
}

function join(from: Socket, to: Socket, isOpen: boolean): void {
  from.unpipe(to);
  if (isOpen) from.pipe(to);
  else from.pause();
}
