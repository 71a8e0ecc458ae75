/**
 * Connects the reader of a device's twin to the connection of the device's provider. The hub allows one
 * connection for each device: a second one for the twin would end the publisher's. So the reader uses the
 * publisher's connection, and has one opened where there is none.
 */
import { orAborted } from '../../shared/or-aborted.ts';

export type TwinRead =
  /** `text` is null when the twin has no receipt yet. */
  | { kind: 'read'; text: string | null }
  /** `connectionLost`: for any reason. A hub without twins ends the connection at once. */
  | { kind: 'failed'; problem: string; connectionLost: boolean };

/** Access to the twin over one connection. */
export interface Twin {
  /** Whether the connection has ended. */
  readonly isOver: boolean;
  /** Settles in ten seconds, or when `signal` aborts. */
  read(signal: AbortSignal): Promise<TwinRead>;
  /** The newest update; null when the connection or `signal` ended first. */
  next(signal: AbortSignal): Promise<string | null>;
}

/** Opens the connection unless it is open; settles within the connect time-out. Never rejects. */
type Connect = () => Promise<unknown>;

export class TwinLink {
  /** Connects of the open publishers: two while credentials are tried. */
  readonly #connects = new Set<Connect>();
  #channel: Twin | null = null;
  #wake: () => void = () => undefined;
  /** Called with the payload bytes of each operation that the hub bills. */
  readonly metered: (bytes: number) => void;

  constructor(metered: (bytes: number) => void) {
    this.metered = metered;
  }

  /** The newest connection's twin; null without a connection. */
  get channel(): Twin | null {
    return this.#channel?.isOver === false ? this.#channel : null;
  }

  attach(connect: Connect): void {
    this.#connects.add(connect);
  }

  detach(connect: Connect): void {
    this.#connects.delete(connect);
  }

  opened(channel: Twin): void {
    this.#channel = channel;
    this.#wake();
  }

  /**
   * Connects the newest publisher, which is the one on trial, if any, because the hub allows only one
   * connection. Ends when `signal` aborts.
   */
  async connect(signal: AbortSignal): Promise<void> {
    await orAborted([...this.#connects].at(-1)?.(), signal);
  }

  /** Resolves when the next connection is up, or `signal` aborts. At most one caller waits at a time. */
  async untilOpened(signal: AbortSignal): Promise<void> {
    const woken = Promise.withResolvers<void>();
    this.#wake = woken.resolve;
    if (this.channel === null) await orAborted(woken.promise, signal);
  }
}
