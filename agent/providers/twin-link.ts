/**
 * Joins the reader of a device's twin to the connection of the device's provider. The hub knows one
 * connection of a device: another one for the twin would throw the publisher's out, so that the reader uses
 * the publisher's, and has it made where there is none.
 */
import { orAborted } from './or-aborted.ts';

export type TwinRead =
  /** Null where there is none yet. */
  | { kind: 'read'; text: string | null }
  /** `connectionLost`: by whatever ended it. A hub without twins ends it at once. */
  | { kind: 'failed'; problem: string; connectionLost: boolean };

/** The way to the twin over one connection. */
export interface Twin {
  /** The connection has ended. */
  readonly isOver: boolean;
  /** Settles in ten seconds, or when `signal` aborts. */
  read(signal: AbortSignal): Promise<TwinRead>;
  /** What the newest update says; null when the connection or `signal` ended first. */
  next(signal: AbortSignal): Promise<string | null>;
}

/**
 * Has the connection made, unless it is there; settles within the time that a connect may take. Never
 * rejects.
 */
type Connect = () => Promise<unknown>;

export class TwinLink {
  /** Of the publishers that are open; while credentials are tried there are two. */
  readonly #connects = new Set<Connect>();
  #channel: Twin | null = null;
  #wake: () => void = () => undefined;
  /** Called with the payload bytes of each operation that the hub counts. */
  readonly metered: (bytes: number) => void;

  constructor(metered: (bytes: number) => void) {
    this.metered = metered;
  }

  /** The newest connection's; null while there is none. */
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
   * By the newest publisher: the one that is tried, if any, because the hub lets only one be connected. Ends
   * when `signal` aborts.
   */
  async connect(signal: AbortSignal): Promise<void> {
    await orAborted([...this.#connects].at(-1)?.(), signal);
  }

  /** Until the next connection is up, or `signal` aborts. One waits at a time. */
  async untilOpened(signal: AbortSignal): Promise<void> {
    const woken = Promise.withResolvers<void>();
    this.#wake = woken.resolve;
    if (this.channel === null) await orAborted(woken.promise, signal);
  }
}
