/**
 * Session state on its way to the disk. Memory is what the broker works with; the disk follows, so that local
 * traffic goes on whatever the disk does (I9). Changes of one moment are one operation, the last word on each
 * item; what came and went within it is never written. After the store was reopened, all that there is is
 * written again: the file may be a new one.
 */
import { encode } from 'cborg';
import type { Clock, Timer } from '../../../shared/clock.ts';
import type { SessionItem, SessionItemKind } from '../../store/types.ts';
import { writtenPacket } from './packet.ts';

/** How long a change waits for others, when nobody waits for it. */
const GATHER_MS = 50;

/** What of the store is needed here. */
export interface SessionStore {
  takeSessions(): readonly SessionItem[];
  /** Resolves when it is durable, which may be after the disk has recovered. */
  writeSessions(items: SessionItem[]): Promise<void>;
  /** Whether what is written now is on its way to the disk. */
  readonly isOpen: boolean;
  /** Called each time the disk fails, until what is returned is called. */
  onFailure(listener: () => void): () => void;
  onReopen(listener: () => void): void;
}

/** Sessions that end with the process, by the operator's choice: nothing is written. */
export const NOT_KEPT: SessionStore = {
  takeSessions: () => [],
  writeSessions: () => Promise.resolve(),
  isOpen: true,
  onFailure: () => () => undefined,
  onReopen: () => undefined,
};

/**
 * What waits for clients. It may be a hundred thousand messages: who holds them is asked, and no second list
 * is kept.
 */
export interface OutgoingItems {
  /** Undefined: it is gone. */
  packetAt(client: string, order: number): object | undefined;
  names(): Iterable<{ client: string; order: number }>;
}

type HeldKind = Exclude<SessionItemKind, 'outgoing'>;

interface Held {
  kind: HeldKind;
  client: string;
  key: string;
  value: () => unknown;
}

interface Change {
  kind: SessionItemKind;
  client: string;
  key: string;
  /** The disk has never heard of it. */
  isNew: boolean;
}

export class SessionLog {
  readonly #store: SessionStore;
  readonly #clock: Clock;
  readonly #outgoing: OutgoingItems;
  /** All the rest, by client and {@link nameIn}. */
  readonly #items = new Map<string, Map<string, Held>>();
  /**
   * By name, since the last flush; while the store is not open they gather here, where one replaces another
   * (I10).
   */
  readonly #changed = new Map<string, Change>();
  /** The flushes before are durable. */
  #written: Promise<unknown> = Promise.resolve();
  #timer: Timer | null = null;

  constructor(store: SessionStore, clock: Clock, outgoing: OutgoingItems) {
    this.#store = store;
    this.#clock = clock;
    this.#outgoing = outgoing;
    store.onReopen(() => {
      for (const { client, order } of outgoing.names()) this.#note('outgoing', client, String(order), true);
      for (const items of this.#items.values())
        for (const { kind, client, key } of items.values()) this.#note(kind, client, key, true);
      this.#flushUnwatched();
    });
  }

  /** What was on the disk when it was opened: already known there. */
  restore(kind: HeldKind, client: string, key: string, value: () => unknown): void {
    const items = this.#items.get(client) ?? new Map<string, Held>();
    this.#items.set(client, items);
    items.set(nameIn(kind, key), { kind, client, key, value });
  }

  /** `value` is asked when it is written. */
  put(kind: HeldKind, client: string, key: string, value: () => unknown): void {
    const isNew = !this.has(kind, client, key);
    this.restore(kind, client, key, value);
    this.#change(kind, client, key, isNew);
  }

  /** What {@link OutgoingItems} gives for it now is written. */
  outgoingPut(client: string, order: number, isNew: boolean): void {
    this.#change('outgoing', client, String(order), isNew);
  }

  outgoingDelete(client: string, order: number): void {
    this.#gone('outgoing', client, String(order));
  }

  /** Put, and written with somebody else's commit. */
  note(kind: HeldKind, client: string, key: string, value: () => unknown): void {
    this.restore(kind, client, key, value);
  }

  has(kind: HeldKind, client: string, key: string): boolean {
    return this.#items.get(client)?.has(nameIn(kind, key)) === true;
  }

  delete(kind: HeldKind, client: string, key: string): void {
    const items = this.#items.get(client);
    if (!items?.delete(nameIn(kind, key))) return;
    if (items.size === 0) this.#items.delete(client);
    this.#gone(kind, client, key);
  }

  /** The disk has it, and here it is over. */
  forget(kind: SessionItemKind, client: string, key: string): void {
    if (this.#valueOf(kind, client, key) === undefined) this.#gone(kind, client, key);
  }

  deleteAll(kind: HeldKind, client: string): void {
    for (const item of [...(this.#items.get(client)?.values() ?? [])])
      if (item.kind === kind) this.delete(kind, client, item.key);
  }

  /** Resolves when all changes so far are on the disk, which may be after it has recovered. */
  async flush(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = null;
    const items = [...this.#changed.values()].map(({ kind, client, key }): SessionItem => {
      const value = this.#valueOf(kind, client, key);
      return { kind, client, key, value: value === undefined ? null : encodeItem(value) };
    });
    this.#changed.clear();
    // With what others have flushed and the disk has not taken yet.
    const written = Promise.all([this.#written, this.#store.writeSessions(items)]);
    // Without what it resolves to: that has what the one before resolved to in it.
    this.#written = written.then(
      () => undefined,
      () => undefined,
    );
    await written;
  }

  /**
   * Like {@link flush}, but does not wait for a disk that has failed: what changed is written when it is
   * back.
   */
  async flushIfPossible(): Promise<void> {
    if (!this.#store.isOpen) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // Not a race against a promise: until it is settled, it would hold something of each that was ever raced
    // with it.
    const forget = this.#store.onFailure(resolve);
    this.flush().then(resolve, reject);
    await promise.finally(forget);
  }

  #valueOf(kind: SessionItemKind, client: string, key: string): unknown {
    if (kind !== 'outgoing') return this.#items.get(client)?.get(nameIn(kind, key))?.value();
    const packet = this.#outgoing.packetAt(client, Number(key));
    return packet && { ...writtenPacket(packet), order: Number(key) };
  }

  #flushUnwatched(): void {
    this.#timer = null;
    if (!this.#store.isOpen) return;
    // It fails only when the store has stopped; who ends the sessions flushes them before.
    this.flush().catch(() => undefined);
  }

  #gone(kind: SessionItemKind, client: string, key: string): void {
    const name = nameOf(kind, client, key);
    if (this.#changed.get(name)?.isNew) this.#changed.delete(name);
    else this.#change(kind, client, key, false);
  }

  #change(kind: SessionItemKind, client: string, key: string, isNew: boolean): void {
    this.#note(kind, client, key, isNew);
    this.#timer ??= this.#clock.setTimer(GATHER_MS, () => this.#flushUnwatched());
  }

  #note(kind: SessionItemKind, client: string, key: string, isNew: boolean): void {
    const name = nameOf(kind, client, key);
    this.#changed.set(name, { kind, client, key, isNew: this.#changed.get(name)?.isNew ?? isNew });
  }
}

export function encodeItem(value: unknown): Uint8Array {
  return Uint8Array.from(encode(value));
}

function nameIn(kind: HeldKind, key: string): string {
  return `${kind}\0${key}`;
}

function nameOf(kind: SessionItemKind, client: string, key: string): string {
  return `${kind}\0${client}\0${key}`;
}
