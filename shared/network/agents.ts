/** Agents of Node's HTTP clients, and of WebSockets, whose connections take the way that an entry says. */
import { type ClientRequestArgs, Agent as HttpAgent, type AgentOptions as HttpAgentOptions } from 'node:http';
import { type AgentOptions, Agent as HttpsAgent, type RequestOptions } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock } from '../clock.ts';
import { errorText } from '../log.ts';
import { originOf } from './local-address.ts';
import type { NetworkAccess } from './options.ts';
import { type HttpProxy, proxyFor } from './proxy.ts';
import { openTunnel } from './tunnel.ts';

export interface Network {
  access: NetworkAccess;
  clock: Clock;
}

type OnSocket = (error: Error | null, stream: Duplex) => void;

/** For TLS: directly, or TLS within a tunnel. */
export class SecureAgent extends HttpsAgent {
  readonly #network: Network;

  constructor(options: AgentOptions, network: Network) {
    super(options);
    this.#network = network;
  }

  override createConnection(options: RequestOptions, callback?: OnSocket): Duplex | null | undefined {
    return connect(options, true, this.#network, callback, (more) =>
      super.createConnection({ ...options, ...more }, callback),
    );
  }
}

/** Without TLS: directly, or through a tunnel. */
export class PlainAgent extends HttpAgent {
  readonly #network: Network;

  constructor(options: HttpAgentOptions, network: Network) {
    super(options);
    this.#network = network;
  }

  override createConnection(options: ClientRequestArgs, callback?: OnSocket): Duplex | null | undefined {
    return connect(options, false, this.#network, callback, (more) =>
      more.socket ? more.socket : super.createConnection({ ...options, ...more }, callback),
    );
  }
}

interface More {
  socket?: Socket;
  localAddress?: string;
  family?: number;
}

/** Null where the connection is told by `callback` later. */
function connect(
  options: Pick<ClientRequestArgs, 'host' | 'port'>,
  isSecure: boolean,
  { access, clock }: Network,
  callback: OnSocket | undefined,
  create: (more: More) => Duplex | null | undefined,
): Duplex | null | undefined {
  const target = { host: options.host ?? 'localhost', port: Number(options.port), isSecure };
  const told = (error: unknown): void => {
    // Node's type asks for a stream beside an error; its own agents give none.
    Reflect.apply(callback ?? (() => undefined), undefined, [
      error instanceof Error ? error : new Error(errorText(error)),
    ]);
  };
  try {
    const origin = originOf(access.local_address);
    const proxy: HttpProxy | null = proxyFor(target, access.proxy);
    if (proxy === null) return create(origin);
    void openTunnel({ proxy, target, origin, clock })
      .then((socket) => {
        const stream = create({ socket });
        if (stream) callback?.(null, stream);
      })
      .catch(told);
  } catch (error) {
    process.nextTick(told, error);
  }
  return null;
}
