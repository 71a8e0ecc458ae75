/**
 * From a provider's message to a committed record: decode, check whose it is, commit, and only then say
 * `settle` (I5).
 *
 * Group commit: everything that arrived while the last commit ran goes into the next one, so that one fsync
 * serves many messages without a timer. When a group fails and the engine still answers, its halves are
 * committed apart, and theirs: a message that the engine refuses fails alone and holds up no other. What it
 * will never take is a dead letter, like what is no envelope: no input comes again for ever. Streams that a
 * lock holds up are set aside (set-aside.ts), and the others are committed without them.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '../../shared/clock.ts';
import type { Envelope } from '../../shared/envelope/envelope.ts';
import { errorText, type Logger } from '../../shared/log.ts';
import { SparseLog } from '../../shared/sparse-log.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { noRepeats, REPEAT_CAUSES } from '../ledger/rules/repeat-cause.ts';
import {
  type CommitResult,
  EntriesBlocked,
  EntryRefused,
  type LedgerEntry,
  type RepeatCause,
} from '../ledger/types.ts';
import type { SourceAges } from '../sources/age.ts';
import type { Delivery, DeliveryHandler, Settlement } from '../sources/source.ts';
import { examine, type Identities, type Refusal } from './examine.ts';
import type { LedgerGate } from './gate.ts';
import { SetAsideStreams } from './set-aside.ts';

export interface SourceCounters {
  envelopes: number;
  records: number;
  duplicates: number;
  /** Of the duplicates: how many by each cause, what to look at when there are many. */
  duplicateCauses: Record<RepeatCause, number>;
  conflicts: number;
  gaps: number;
  deadLetters: number;
  deadLetterReasons: Record<string, number>;
  /** Messages left for redelivery: the ledger failed, or too much was waiting for it. */
  retries: number;
}

export interface IngestLimits {
  /** Most envelopes in one commit. */
  groupEnvelopesMax: number;
  /** Decoded bytes after which a commit takes no further envelope. */
  groupBytesMax: number;
  /** Decoded bytes that may wait for the ledger; beyond, messages are left for redelivery (I10). */
  pendingBytesMax: number;
}

/** What it needs of the ledger; in simulation, of a model of it. */
type Committing = Pick<Ledger, 'commit' | 'deadLetter' | 'ping'>;

export interface IngestOptions {
  ledger: Committing;
  clock: Clock;
  log: Logger;
  limits?: Partial<IngestLimits>;
  /** Called after every commit: feeds have something to read, gateways something to be told. */
  onCommit?: (committed: readonly LedgerEntry[]) => void;
  /** Closed when the engine commits nothing. */
  gate?: Pick<LedgerGate, 'committed' | 'close'>;
  /** By source. */
  identities?: ReadonlyMap<string, Identities>;
  /** Told of every committed envelope: how old it is tells how far its source is behind. */
  ages?: Pick<SourceAges, 'committed'>;
}

const MIB = 1024 * 1024;
const LIMITS: IngestLimits = {
  groupEnvelopesMax: 512,
  groupBytesMax: 16 * MIB,
  pendingBytesMax: 128 * MIB,
};
/** What a decoded record, gap or envelope takes besides payloads, roughly. */
const OVERHEAD_BYTES = 200;

interface Waiting {
  entry: LedgerEntry;
  delivery: Delivery;
  bytes: number;
  settle: (settlement: Settlement) => void;
}

export class Ingest {
  /** For the sources. */
  readonly handler: DeliveryHandler = (delivery) => this.#take(delivery);
  readonly #counters = new Map<string, SourceCounters>();
  readonly #ledger: Committing;
  readonly #clock: Clock;
  readonly #log: SparseLog;
  readonly #limits: IngestLimits;
  readonly #onCommit: (committed: readonly LedgerEntry[]) => void;
  readonly #ages: Pick<SourceAges, 'committed'> | null;
  readonly #identities: ReadonlyMap<string, Identities>;
  readonly #gate: Pick<LedgerGate, 'committed' | 'close'> | null;
  /** Groups committed, and entries that were decided in another way. */
  #progress = 0;
  /** Why the last group was not committed. */
  #failure = '';
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #committing: Promise<void> | null = null;
  readonly #setAside: SetAsideStreams;
  readonly #probing = new Set<Promise<void>>();

  constructor(options: IngestOptions) {
    const { ledger, clock, log, limits, onCommit = () => undefined } = options;
    const { ages, gate, identities = new Map() } = options;
    this.#ledger = ledger;
    this.#clock = clock;
    this.#setAside = new SetAsideStreams(clock);
    this.#log = new SparseLog({ log, clock });
    this.#limits = { ...LIMITS, ...limits };
    this.#onCommit = onCommit;
    this.#ages = ages ?? null;
    this.#gate = gate ?? null;
    this.#identities = identities;
  }

  /** By source name, since the start. */
  counters(): ReadonlyMap<string, SourceCounters> {
    return this.#counters;
  }

  async #take(delivery: Delivery): Promise<Settlement> {
    if (this.#waitingBytes >= this.#limits.pendingBytesMax) {
      this.#log.warn('ingest.overloaded', { source: delivery.source, waitingBytes: this.#waitingBytes });
      return this.#retry(delivery.source);
    }
    const envelope = examine(delivery, this.#identities.get(delivery.source));
    if ('reason' in envelope) return this.#deadLetter(delivery, envelope);
    const { source, deliveryCount, sentAs = null } = delivery;
    const redelivered = deliveryCount !== null && deliveryCount > 1;
    const entry = { envelope, source, receivedWallMs: this.#clock.wallMs(), redelivered, sentAs };
    const admitted = this.#setAside.admit(envelope);
    if (admitted === 'leave') return this.#retry(source);
    return new Promise((settle) => {
      const waiting = { entry, delivery, bytes: sizeOf(envelope), settle };
      if (admitted === 'probe') this.#probe(waiting);
      else this.#enqueue(waiting);
    });
  }

  /** Resolves when nothing waits for the ledger. Stop the sources first. */
  async drain(): Promise<void> {
    while (this.#committing !== null) await this.#committing;
    await Promise.all(this.#probing);
  }

  #enqueue(waiting: Waiting): void {
    this.#waiting.push(waiting);
    this.#waitingBytes += waiting.bytes;
    this.#committing ??= this.#commitAll();
  }

  /** Commits by itself, beside the groups. */
  #probe(waiting: Waiting): void {
    const probing = this.#commitGroup([waiting]).finally(() => {
      this.#setAside.probed(waiting.entry.envelope);
      this.#probing.delete(probing);
    });
    this.#probing.add(probing);
  }

  async #commitAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      // An embedded engine commits without letting go of the thread: take in what arrived meanwhile.
      await nextTurn();
      const before = this.#progress;
      const group = this.#nextGroup();
      await this.#commitGroup(group);
      // One message may be refused alone; several that all fail are the engine's failure.
      if (this.#progress === before && group.length > 1) this.#gate?.close(this.#failure);
    }
    this.#committing = null;
  }

  #nextGroup(): Waiting[] {
    let bytes = 0;
    let count = 0;
    for (const waiting of this.#waiting) {
      if (
        count === this.#limits.groupEnvelopesMax ||
        (count > 0 && bytes + waiting.bytes > this.#limits.groupBytesMax)
      )
        break;
      bytes += waiting.bytes;
      count += 1;
    }
    this.#waitingBytes -= bytes;
    return this.#waiting.splice(0, count);
  }

  async #commitGroup(group: readonly Waiting[]): Promise<void> {
    const results = await this.#tryCommit(group);
    const [only] = group;
    if (Array.isArray(results)) {
      this.#settle(group, results);
    } else if (results instanceof EntriesBlocked) {
      await this.#commitOthers(group, results.entries);
    } else if (results !== null && only && group.length === 1) {
      const refusal = { reason: results.reason, detail: results.message };
      const settlement = await this.#deadLetter(only.delivery, refusal);
      if (settlement === 'settle') this.#progress += 1;
      only.settle(settlement);
    } else if (await this.#engineAnswers()) {
      await this.#commitHalves(group);
    } else {
      // Closed first: a source that is given a message back receives nothing more.
      this.#gate?.close(this.#failure);
      this.#giveBack(group);
    }
  }

  /** What is not blocked, while the blocked entries are left for redelivery. */
  async #commitOthers(group: readonly Waiting[], blocked: ReadonlySet<LedgerEntry>): Promise<void> {
    const others: Waiting[] = [];
    for (const waiting of group) {
      if (!blocked.has(waiting.entry)) {
        others.push(waiting);
        continue;
      }
      const { delivery, entry, settle } = waiting;
      const { gateway, epoch, stream } = entry.envelope;
      this.#progress += 1;
      this.#setAside.blocked(entry.envelope);
      this.#log.warn('ingest.stream_blocked', { gateway, epoch, stream, source: delivery.source });
      settle(this.#retry(delivery.source));
    }
    if (others.length > 0) await this.#commitGroup(others);
  }

  async #commitHalves(group: readonly Waiting[]): Promise<void> {
    if (group.length === 1) return this.#giveBack(group);
    const middle = Math.floor(group.length / 2);
    await this.#commitGroup(group.slice(0, middle));
    await this.#commitGroup(group.slice(middle));
  }

  #giveBack(group: readonly Waiting[]): void {
    for (const { delivery, settle } of group) settle(this.#retry(delivery.source));
  }

  #settle(group: readonly Waiting[], results: readonly CommitResult[]): void {
    for (const [i, { delivery, entry, settle }] of group.entries()) {
      const result = results[i];
      if (result) this.#count(delivery.source, result);
      this.#ages?.committed(delivery, entry.envelope);
      settle('settle');
    }
    this.#progress += 1;
    this.#gate?.committed();
    this.#onCommit(group.map(({ entry }) => entry));
  }

  /** The error when an entry can never be committed, or some have to wait; null for any other failure. */
  async #tryCommit(
    group: readonly Waiting[],
  ): Promise<CommitResult[] | EntryRefused | EntriesBlocked | null> {
    try {
      return await this.#ledger.commit(group.map(({ entry }) => entry));
    } catch (error) {
      if (error instanceof EntryRefused || error instanceof EntriesBlocked) return error;
      this.#failure = errorText(error);
      this.#log.warn('ingest.commit_failed', { envelopes: group.length, error: this.#failure });
      return null;
    }
  }

  async #engineAnswers(): Promise<boolean> {
    try {
      await this.#ledger.ping();
      return true;
    } catch {
      // The commit that failed just before has told why.
      return false;
    }
  }

  async #deadLetter(delivery: Delivery, { reason, detail }: Refusal): Promise<Settlement> {
    const { source, bytes, authenticatedGateway, properties } = delivery;
    try {
      await this.#ledger.deadLetter({
        source,
        reason,
        detail,
        bytes,
        receivedWallMs: this.#clock.wallMs(),
        authenticatedGateway,
        properties: properties?.() ?? {},
      });
    } catch (error) {
      this.#log.warn('ingest.dead_letter_failed', { source, reason, error: errorText(error) });
      if (!(await this.#engineAnswers())) this.#gate?.close(errorText(error));
      return this.#retry(source);
    }
    const counters = this.#of(source);
    counters.deadLetters += 1;
    counters.deadLetterReasons[reason] = (counters.deadLetterReasons[reason] ?? 0) + 1;
    this.#log.warn('ingest.dead_letter', { source, reason, detail, bytes: bytes.length });
    delivery.onDeadLetter?.(reason);
    return 'settle';
  }

  #retry(source: string): Settlement {
    this.#of(source).retries += 1;
    return 'retry';
  }

  #count(source: string, result: CommitResult): void {
    const counters = this.#of(source);
    counters.envelopes += 1;
    counters.records += result.new;
    counters.duplicates += result.duplicate;
    counters.conflicts += result.conflict;
    counters.gaps += result.gap;
    for (const cause of REPEAT_CAUSES) counters.duplicateCauses[cause] += result.causes[cause] ?? 0;
  }

  #of(source: string): SourceCounters {
    let counters = this.#counters.get(source);
    if (!counters) {
      counters = {
        envelopes: 0,
        records: 0,
        duplicates: 0,
        duplicateCauses: noRepeats(),
        conflicts: 0,
        gaps: 0,
        deadLetters: 0,
        deadLetterReasons: {},
        retries: 0,
      };
      this.#counters.set(source, counters);
    }
    return counters;
  }
}

function sizeOf({ records, gaps }: Envelope): number {
  const overhead = (1 + records.length + gaps.length) * OVERHEAD_BYTES;
  return records.reduce((bytes, { payload }) => bytes + payload.byteLength, overhead);
}
