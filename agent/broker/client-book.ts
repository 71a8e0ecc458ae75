/**
 * A book of each client that came: since when it is connected, when it was last heard, how fast it publishes,
 * what of it was refused and why. For `headgate clients`; decides nothing. Bounded (I10): clients that are
 * connected, and the last that are not.
 */
import type { Clock } from '../../shared/clock.ts';
import type { Logger } from '../../shared/log.ts';
import { SparseLog } from '../../shared/sparse-log.ts';
import type { RefusalReason } from './refusals.ts';

/** Entries of clients that are not connected. */
const AWAY_MAX = 1000;
/** Of a client id that was refused before anybody looked at it. */
const ID_CHARS_MAX = 128;
export const RATE_EVERY_MS = 10_000;
const LOG_EVERY_MS = 60_000;
/** Once is a device that lost its connection and came back; so often in {@link LOG_EVERY_MS}, it is two. */
const CONTESTED_BY = 3;

export interface ClientEntry {
  /** Empty where only the address is known. */
  clientId: string;
  address: string;
  /** Monotonic milliseconds; null while it is not connected. */
  connectedMs: number | null;
  /** Monotonic milliseconds: its last byte, or its last refusal. */
  lastSeenMs: number;
  /** Publishes since the agent started. */
  published: number;
  /** In the last ten seconds. */
  ratePerSecond: number;
  refused: Map<RefusalReason, number>;
  lastRefusal: RefusalReason | null;
  /** Connections that another one with the same client id ended [MQTT-3.1.4-2]. */
  takenOver: number;
}

interface Kept extends ClientEntry {
  /** The connection that is counted. */
  connection: object | null;
  publishedBefore: number;
  /** When connections were taken over lately. */
  takenOverMs: number[];
}

export class ClientBook {
  readonly #clock: Clock;
  readonly #sparse: SparseLog;
  /** The one that changed last is the last. */
  readonly #entries = new Map<string, Kept>();
  readonly #byConnection = new WeakMap<object, Kept>();
  #away = 0;
  #takenOver = 0;

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#sparse = new SparseLog({ log, clock, periodMs: LOG_EVERY_MS });
  }

  /** Connections that another one with the same client id ended, since start. */
  get takenOver(): number {
    return this.#takenOver;
  }

  connected(connection: object, clientId: string, address: string): void {
    const entry = this.#entryOf(clientId, address);
    if (entry.connection === null) this.#away -= 1;
    else this.#tookOver(entry, address);
    const nowMs = this.#clock.monoMs();
    Object.assign(entry, { connection, address, connectedMs: nowMs, lastSeenMs: nowMs });
    this.#byConnection.set(connection, entry);
  }

  /** Something came from it. */
  heard(connection: object): void {
    const entry = this.#byConnection.get(connection);
    if (entry) entry.lastSeenMs = this.#clock.monoMs();
  }

  published(connection: object): void {
    const entry = this.#byConnection.get(connection);
    if (entry) entry.published += 1;
  }

  disconnected(connection: object): void {
    const entry = this.#byConnection.get(connection);
    if (entry?.connection !== connection) return;
    Object.assign(entry, { connection: null, connectedMs: null, ratePerSecond: 0 });
    this.#away += 1;
    this.#forgetOldest();
  }

  /** `clientId`: empty where it is not known. */
  refused(clientId: string, address: string, reason: RefusalReason): void {
    if (clientId === '' && address === '') return;
    const entry = this.#entryOf(clientId, address);
    entry.refused.set(reason, (entry.refused.get(reason) ?? 0) + 1);
    entry.lastRefusal = reason;
    entry.lastSeenMs = this.#clock.monoMs();
    if (entry.connection === null && address !== '') entry.address = address;
    this.#forgetOldest();
  }

  /** Call every {@link RATE_EVERY_MS}. */
  measure(): void {
    for (const entry of this.#entries.values()) {
      entry.ratePerSecond = ((entry.published - entry.publishedBefore) * 1000) / RATE_EVERY_MS;
      entry.publishedBefore = entry.published;
    }
  }

  /** By client id, then address. */
  all(): ClientEntry[] {
    const text = ({ clientId, address }: ClientEntry): string => `${clientId}\0${address}`;
    return [...this.#entries.values()].sort((a, b) => (text(a) < text(b) ? -1 : 1));
  }

  #tookOver(entry: Kept, address: string): void {
    const nowMs = this.#clock.monoMs();
    this.#takenOver += 1;
    entry.takenOver += 1;
    entry.takenOverMs = [...entry.takenOverMs, nowMs]
      .filter((ms) => nowMs - ms < LOG_EVERY_MS)
      .slice(-CONTESTED_BY);
    if (entry.takenOverMs.length < CONTESTED_BY) return;
    const { clientId: device, address: other, takenOver: count } = entry;
    // One key for all, and not one for each client: there may be many (I10).
    this.#sparse.warn('broker.client_id_shared', { device, address, other, count });
  }

  /** Makes it the one that changed last. */
  #entryOf(id: string, address: string): Kept {
    const clientId = id.slice(0, ID_CHARS_MAX);
    const key = clientId === '' ? `\0${address}` : clientId;
    let entry = this.#entries.get(key);
    if (!entry) {
      entry = newEntry(clientId, address);
      this.#away += 1;
    }
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry;
  }

  #forgetOldest(): void {
    if (this.#away <= AWAY_MAX) return;
    for (const [key, { connection }] of this.#entries) {
      if (connection !== null) continue;
      this.#entries.delete(key);
      this.#away -= 1;
      if (this.#away <= AWAY_MAX) return;
    }
  }
}

function newEntry(clientId: string, address: string): Kept {
  return {
    clientId,
    address,
    connectedMs: null,
    lastSeenMs: 0,
    published: 0,
    ratePerSecond: 0,
    refused: new Map(),
    lastRefusal: null,
    takenOver: 0,
    connection: null,
    publishedBefore: 0,
    takenOverMs: [],
  };
}
