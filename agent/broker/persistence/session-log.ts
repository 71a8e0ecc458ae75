/**
 * Writes session state to disk. The broker works with the state in memory and the disk follows, so local
 * traffic goes on when the disk fails (I9). Changes of one moment become one write, with the last value of
 * each item; an item that was added and removed in between is never written. After the store was reopened,
 * all items are written again: the file may be a new one.
 */
import { encode } from 'cborg';
import type { Clock, Timer } from '../../../shared/clock.ts';
import type { SessionItem, SessionItemKind } from '../../store/types.ts';
import { writtenPacket } from './packet.ts';

/** A change without a waiting caller is written after this time, together with others. */
const GATHER_MS = 50;

/** The methods of the store that this class needs. */
export interface SessionStore {
  takeSessions(): readonly SessionItem[];
  /** Resolves when the items are durable, which may be after the disk has recovered. */
  writeSessions(items: SessionItem[]): Promise<void>;
  /** Whether a write now goes to the disk. */
  readonly isOpen: boolean;
  /** `listener` is called each time the disk fails, until the returned function is called. */
  onFailure(listener: () => void): () => void;
  onReopen(listener: () => void): void;
}

/** For `sessions.keep: false`: nothing is written. */
export const NOT_KEPT: SessionStore = {
  takeSessions: () => [],
  writeSessions: () => Promise.resolve(),
  isOpen: true,
  onFailure: () => () => undefined,
  onReopen: () => undefined,
};

/**
 * The queued messages of clients. There may be a hundred thousand; their owner is asked for them, instead of
 * keeping a second list here.
 */
export interface OutgoingItems {
  /** Undefined when the packet has been removed. */
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
  /** The item has never been written to disk. */
  isNew: boolean;
}

export class SessionLog {
  readonly #store: SessionStore;
  readonly #clock: Clock;
  readonly #outgoing: OutgoingItems;
  /** All items except outgoing messages, by client and {@link nameIn}. */
  readonly #items = new Map<string, Map<string, Held>>();
  /**
   * Changes since the last flush, by name. While the store is closed they gather here, and a newer change
   * replaces an older one (I10).
   */
  readonly #changed = new Map<string, Change>();
  /** Resolves when the earlier flushes are durable. */
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

  /** Takes over an item that was on disk when the store was opened. */
  restore(kind: HeldKind, client: string, key: string, value: () => unknown): void {
    const items = this.#items.get(client) ?? new Map<string, Held>();
    this.#items.set(client, items);
    items.set(nameIn(kind, key), { kind, client, key, value });
  }

  /** `value` is called when the item is written. */
  put(kind: HeldKind, client: string, key: string, value: () => unknown): void {
    const isNew = !this.has(kind, client, key);
    this.restore(kind, client, key, value);
    this.#change(kind, client, key, isNew);
  }

  /** Marks an outgoing packet for writing; {@link OutgoingItems} gives its value. */
  outgoingPut(client: string, order: number, isNew: boolean): void {
    this.#change('outgoing', client, String(order), isNew);
  }

  outgoingDelete(client: string, order: number): void {
    this.#gone('outgoing', client, String(order));
  }

  /** Like {@link put}, for an item that another commit has written. */
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

  /** Deletes an item on disk that no longer exists in memory. */
  forget(kind: SessionItemKind, client: string, key: string): void {
    if (this.#valueOf(kind, client, key) === undefined) this.#gone(kind, client, key);
  }

  deleteAll(kind: HeldKind, client: string): void {
    for (const item of [...(this.#items.get(client)?.values() ?? [])])
      if (item.kind === kind) this.delete(kind, client, item.key);
  }

  /** Resolves when all changes so far are on disk, which may be after the disk has recovered. */
  async flush(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = null;
    const items = [...this.#changed.values()].map(({ kind, client, key }): SessionItem => {
      const value = this.#valueOf(kind, client, key);
      return { kind, client, key, value: value === undefined ? null : encodeItem(value) };
    });
    this.#changed.clear();
    // Includes earlier flushes that are not durable yet.
    const written = Promise.all([this.#written, this.#store.writeSessions(items)]);
    // Resolves to nothing: keeping the result would chain the results of all earlier flushes.
    this.#written = written.then(
      () => undefined,
      () => undefined,
    );
    await written;
  }

  /** Like {@link flush}, but does not wait for a failed disk: the changes are written after its recovery. */
  async flushIfPossible(): Promise<void> {
    if (!this.#store.isOpen) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // Not Promise.race: a pending promise would keep a reference for each race.
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
    // Fails only when the store has stopped. `stop` flushes the sessions before.
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
