/** The phases `resolve`, `connect` and `tls` of an entry, over the way that its connections take. */
import { lookup } from 'node:dns/promises';
import { connect, isIP, type Socket } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import type { Clock } from '../clock.ts';
import { errorText } from '../log.ts';
import { originOf } from '../network/local-address.ts';
import type { NetworkAccess } from '../network/options.ts';
import { type HttpProxy, proxyFor, proxyText, type Target } from '../network/proxy.ts';
import { openTunnel } from '../network/tunnel.ts';
import { type Phase, PhaseFailure } from './phases.ts';

/** PEM; each absent where the entry has none. */
export interface TlsMaterial {
  ca?: string | Buffer | undefined;
  cert?: string | Buffer | undefined;
  key?: string | Buffer | undefined;
}

export interface WayOptions {
  /** Servers of one service, tried in turn: one is enough. */
  targets: readonly Pick<Target, 'host' | 'port'>[];
  /** The option that names them. */
  option: string;
  /**
   * For a connection that begins with TLS; `read` gives its files as the connection has them. Null: no TLS
   * first.
   */
  tls: { option: string; read: () => Promise<TlsMaterial> } | null;
  /** Null: the connection knows neither proxy nor local address. `isSecure` picks the environment's proxy. */
  network: (NetworkAccess & { isSecure: boolean }) | null;
  clock: Clock;
}

interface Reached {
  host: string;
  socket: Socket;
}

/** `close` ends the connection that the phases made. */
export function wayPhases(options: WayOptions): { phases: Phase[]; close: () => void } {
  const { option, tls } = options;
  let reached: Reached | null = null;
  const phases: Phase[] = [
    { name: 'resolve', option, run: () => resolveOne(options) },
    {
      name: 'connect',
      option,
      run: async (signal) => {
        const [found, note] = await reachOne(options, signal);
        reached = found;
        return note;
      },
    },
  ];
  if (tls !== null) {
    phases.push({
      name: 'tls',
      option: tls.option,
      run: async () => {
        const material = await tls.read();
        if (reached) await handshake(reached, material);
        return null;
      },
    });
  }
  return { phases, close: () => reached?.socket.destroy() };
}

/** Through a proxy the name is the proxy's to look up: then the proxy's own name counts. */
async function resolveOne(options: WayOptions): Promise<string | null> {
  const [way, others] = await firstOf(options, async (target) => {
    const proxy = proxyOf(options, target);
    const host = proxy?.host ?? target.host;
    if (isIP(host) === 0) await lookup(host).catch(proxy === null ? undefined : proxyFailed(options));
    return proxy === null ? null : `through the proxy ${proxyText(proxy)}`;
  });
  return way ?? others;
}

function reachOne(options: WayOptions, signal: AbortSignal): Promise<[Reached, string | null]> {
  return firstOf(options, async (target) => {
    const { network, clock } = options;
    const origin = originOf(network?.local_address);
    const proxy = proxyOf(options, target);
    if (proxy === null) return { host: target.host, socket: await open({ ...target, ...origin }, signal) };
    const tunnel = openTunnel({ proxy, target, origin, clock }).catch(proxyFailed(options));
    return { host: target.host, socket: await tunnel };
  });
}

/** The first target that `work` succeeds with, and a note about those before it. */
async function firstOf<Result>(
  { targets }: WayOptions,
  work: (target: Pick<Target, 'host' | 'port'>) => Promise<Result>,
): Promise<[Result, string | null]> {
  const problems: string[] = [];
  let last: unknown = new Error('no server is named');
  for (const target of targets) {
    try {
      const result = await work(target);
      return [result, problems.length === 0 ? null : `not ${problems.join('; not ')}`];
    } catch (error) {
      last = error;
      problems.push(`${target.host}:${target.port}: ${textOf(error)}`);
    }
  }
  throw last;
}

function proxyOf({ network }: WayOptions, target: Pick<Target, 'host' | 'port'>): HttpProxy | null {
  if (network === null) return null;
  return proxyFor({ ...target, isSecure: network.isSecure }, network.proxy);
}

/** Names `proxy` of the entry, or the variable of the environment. */
function proxyFailed({ network }: WayOptions): (error: unknown) => never {
  const variable = network?.isSecure ? 'HTTPS_PROXY' : 'HTTP_PROXY';
  return (error) => {
    const option = network?.proxy === undefined ? variable : 'proxy';
    const fix = 'check the proxy, its login and which ports it lets through; proxy: none goes directly';
    throw new PhaseFailure(textOf(error), { option, fix });
  };
}

function open(
  target: { host: string; port: number; localAddress?: string; family?: number },
  signal: AbortSignal,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(target);
    const abandon = (): void => void socket.destroy();
    signal.addEventListener('abort', abandon, { once: true });
    socket.once('connect', () => {
      signal.removeEventListener('abort', abandon);
      resolve(socket);
    });
    socket.on('error', reject);
  });
}

function handshake({ host, socket }: Reached, { ca, cert, key }: TlsMaterial): Promise<void> {
  return new Promise((resolve, reject) => {
    const secure = tlsConnect({
      socket,
      host,
      ...(isIP(host) === 0 && { servername: host }),
      ...(ca !== undefined && { ca }),
      ...(cert !== undefined && { cert }),
      ...(key !== undefined && { key }),
    });
    secure.on('error', reject);
    secure.once('close', () => reject(new Error('the server ended the connection during the handshake')));
    secure.once('secureConnect', () => {
      resolve();
      secure.destroy();
    });
  });
}

/** Node.js has no message when none of a name's several addresses answers. */
function textOf(error: unknown): string {
  const code: unknown = Reflect.get(Object(error), 'code');
  return error instanceof AggregateError && typeof code === 'string' ? code : errorText(error);
}
