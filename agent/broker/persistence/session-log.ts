/**
 * Session state on its way to the disk. Memory is what the broker works with; the disk follows, so that local traffic goes on
 * whatever the disk does (I9). Changes of one moment are one operation, the last word on each item; what came and went
 * within it is never written. After the store was reopened, all that there is is written again: the file may be a new one.
 */
import { encode } from 'cborg';
import type { Clock, Timer } from '../../../shared/clock.ts';
import type { SessionItem, SessionItemKind } from '../../store/session-items.ts';

/** How long a change waits for others, when nobody waits for it. */
const GATHER_MS = 50;

/** What of the store is needed here. */
export interface SessionStore {
  initialSessions(): readonly SessionItem[];
  /** Resolves when it is durable, which may be after the disk has recovered. */
  writeSessions(items: SessionItem[]): Promise<void>;
  state(): string;
  /** Resolves when the disk fails next. */
  failure(): Promise<void>;
  onReopen(listener: () => void): void;
}

/** Sessions that end with the process, by the operator's choice: nothing is written. */
export const NOT_KEPT: SessionStore = {
  initialSessions: () => [],
  writeSessions: () => Promise.resolve(),
  state: () => 'ok',
  failure: () => new Promise(() => undefined),
  onReopen: () => undefined,
};

interface Held {
  kind: SessionItemKind;
  client: string;
  key: string;
  value: () => unknown;
}

export class SessionLog {
  readonly #store: SessionStore;
  readonly #clock: Clock;
  /** All that there is, by its name. */
  readonly #items = new Map<string, Held>();
  /** Names of what changed; true: the disk has never heard of it. */
  readonly #changed = new Map<string, { isNew: boolean; item: Omit<Held, 'value'> }>();
  #timer: Timer | null = null;

  constructor(store: SessionStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
    store.onReopen(() => {
      for (const [name, item] of this.#items) this.#changed.set(name, { isNew: true, item });
      this.#flushUnwatched();
    });
  }

  /** What was on the disk when it was opened: already known there. */
  restore(kind: SessionItemKind, client: string, key: string, value: () => unknown): void {
    this.#items.set(nameOf(kind, client, key), { kind, client, key, value });
  }

  /** `value` is asked when it is written. */
  put(kind: SessionItemKind, client: string, key: string, value: () => unknown): void {
    const name = nameOf(kind, client, key);
    const isNew = this.#changed.get(name)?.isNew ?? !this.#items.has(name);
    const item = { kind, client, key, value };
    this.#items.set(name, item);
    this.#change(name, isNew, item);
  }

  /** Put, and written with somebody else's commit. */
  note(kind: SessionItemKind, client: string, key: string, value: () => unknown): void {
    this.restore(kind, client, key, value);
  }

  has(kind: SessionItemKind, client: string, key: string): boolean {
    return this.#items.has(nameOf(kind, client, key));
  }

  delete(kind: SessionItemKind, client: string, key: string): void {
    const name = nameOf(kind, client, key);
    const item = this.#items.get(name);
    if (!item) return;
    this.#items.delete(name);
    const isNew = this.#changed.get(name)?.isNew ?? false;
    if (isNew) this.#changed.delete(name);
    else this.#change(name, false, item);
  }

  deleteAll(kind: SessionItemKind, client: string): void {
    for (const item of [...this.#items.values()]) {
      if (item.kind === kind && item.client === client) this.delete(kind, client, item.key);
    }
  }

  /** Resolves when all changes so far are on the disk, which may be after it has recovered. */
  async flush(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = null;
    const items = [...this.#changed].map(([name, { item }]): SessionItem => {
      const held = this.#items.get(name);
      const value = held ? encodeItem(held.value()) : null;
      return { kind: item.kind, client: item.client, key: item.key, value };
    });
    this.#changed.clear();
    await this.#store.writeSessions(items);
  }

  /** Like {@link flush}, but does not wait for a disk that has failed. */
  async flushIfPossible(): Promise<void> {
    if (this.#store.state() !== 'ok') return;
    await Promise.race([this.flush(), this.#store.failure()]);
  }

  #flushUnwatched(): void {
    // It fails only when the store has stopped; who ends the sessions flushes them before.
    this.flush().catch(() => undefined);
  }

  #change(name: string, isNew: boolean, item: Omit<Held, 'value'>): void {
    this.#changed.set(name, { isNew, item });
    this.#timer ??= this.#clock.setTimer(GATHER_MS, () => this.#flushUnwatched());
  }
}

export function encodeItem(value: unknown): Uint8Array {
  return Uint8Array.from(encode(value));
}

function nameOf(kind: SessionItemKind, client: string, key: string): string {
  return `${kind}\0${client}\0${key}`;
}
