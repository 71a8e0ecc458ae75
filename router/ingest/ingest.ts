/**
 * From a provider's message to a committed record: decode, check the sender, commit, and only then return
 * `settle` (I5).
 *
 * Group commit: everything that arrived while the last commit ran goes into the next one, so that one fsync
 * serves many messages without a timer; gateways take turns (commit-turns.ts). When a group fails and the
 * engine still answers, the group is halved again and again, and the halves are committed separately: a
 * message that the engine refuses fails alone and delays no other. A message that the engine can never store
 * becomes a dead letter, like a message that is no envelope, so no input is redelivered for ever. Streams
 * that wait for a lock are set aside (set-aside.ts), and the others are committed without them.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '../../shared/clock.ts';
import type { Envelope } from '../../shared/envelope/envelope.ts';
import { errorText } from '../../shared/log.ts';
import { SparseLog } from '../../shared/sparse-log.ts';
import { UNVERIFIED_JUMP_MAX } from '../ledger/rules/proof.ts';
import { REPEAT_CAUSES } from '../ledger/rules/repeat-cause.ts';
import { storedBytes } from '../ledger/rules/retention.ts';
import { type CommitResult, EntriesBlocked, EntryRefused, type LedgerEntry } from '../ledger/types.ts';
import type { OverQuota } from '../quotas/account.ts';
import type { Sender } from '../quotas/quotas.ts';
import type { SourceAges } from '../sources/age.ts';
import { gatewayOf, type Identities } from '../sources/identities.ts';
import type { Delivery, DeliveryHandler, Settlement } from '../sources/source.ts';
import { CommitTurns } from './commit-turns.ts';
import { noCounts, type SourceCounters } from './counters.ts';
import { type Decoder, InlineDecoder } from './decoder.ts';
import type { LedgerGate } from './gate.ts';
import { INGEST_LIMITS, type IngestLimits, sizeOf, type Waiting } from './group.ts';
import { LaneOrder } from './lane-order.ts';
import { LetterTurns } from './letter-turns.ts';
import type { Committing, IngestOptions } from './parts.ts';
import { type Proof, proofOf, UNCHECKED } from './proof.ts';
import { foreign, type Refusal } from './refusal.ts';
import type { Seals } from './seals.ts';
import { SetAsideStreams } from './set-aside.ts';
import type { Signatures } from './signatures.ts';

export class Ingest {
  /** The handler for the sources. */
  readonly handler: DeliveryHandler = (delivery) => this.#take(delivery);
  readonly #counters = new Map<string, SourceCounters>();
  readonly #ledger: Committing;
  readonly #clock: Clock;
  readonly #log: SparseLog;
  readonly #limits: IngestLimits;
  readonly #decoder: Decoder;
  readonly #checks = new LaneOrder();
  readonly #onCommit: (committed: readonly LedgerEntry[]) => void;
  readonly #ages: Pick<SourceAges, 'committed'> | null;
  readonly #identities: ReadonlyMap<string, Identities>;
  readonly #signatures: Pick<Signatures, 'check' | 'refusalOf'> | null;
  readonly #quotas: IngestOptions['quotas'] | null;
  readonly #jumpMax: number;
  readonly #seals: Pick<Seals, 'open' | 'unsealed'> | null;
  readonly #gate: Pick<LedgerGate, 'committed' | 'close'> | null;
  /** Groups committed, plus entries decided in another way. */
  #progress = 0;
  /** Why the last group failed. */
  #failure = '';
  readonly #turns: CommitTurns;
  readonly #letterTurns: LetterTurns;
  /** Ends a rest of all that wait early. */
  #resting: AbortController | null = null;
  #isDraining: boolean = false;
  #committing: Promise<void> | null = null;
  readonly #setAside: SetAsideStreams;
  readonly #probing = new Set<Promise<void>>();

  constructor(options: IngestOptions) {
    const { ledger, clock, log, limits, onCommit = () => undefined } = options;
    const { ages, gate, identities = new Map(), decoder = new InlineDecoder({ clock }) } = options;
    this.#ledger = ledger;
    this.#clock = clock;
    this.#setAside = new SetAsideStreams(clock);
    this.#log = new SparseLog({ log, clock });
    this.#limits = { ...INGEST_LIMITS, ...limits };
    this.#turns = new CommitTurns(this.#limits);
    const isAlone = (sender: string, nowMs: number) => this.#turns.isAlone(sender, nowMs);
    this.#letterTurns = new LetterTurns({ clock, isAlone });
    this.#decoder = decoder;
    this.#onCommit = onCommit;
    this.#ages = ages ?? null;
    this.#gate = gate ?? null;
    this.#identities = identities;
    this.#signatures = options.signatures ?? null;
    this.#quotas = options.quotas ?? null;
    this.#jumpMax = options.jumpMax ?? UNVERIFIED_JUMP_MAX;
    this.#seals = options.seals ?? null;
  }

  /** Counters by source name, since the start. */
  counters(): ReadonlyMap<string, SourceCounters> {
    return this.#counters;
  }

  async #take(delivery: Delivery): Promise<Settlement> {
    const { source, authenticatedGateway, problem } = delivery;
    if (this.#isFull(source)) return this.#retry(source, 'later');
    const identities = this.#identities.get(source) ?? {};
    const gateway = authenticatedGateway === null ? null : gatewayOf(authenticatedGateway, identities);
    const sender = gateway === null ? null : { source, gateway, isProven: true };
    if (problem) return this.#deadLetter(delivery, problem, sender);
    // Before the signature costs anything.
    const over = this.#overRate(delivery, sender);
    if (over !== null) return over;
    // Of one gateway, they end in the order of the calls.
    const checked = this.#signatures
      ? await this.#checks.inOrder(
          JSON.stringify([source, gateway]),
          proofOf(delivery, this.#signatures, this.#seals),
        )
      : UNCHECKED;
    if (checked.kind === 'unknown') return this.#retry(source, 'later');
    if (checked.kind === 'refused') return this.#deadLetter(delivery, checked.refusal, sender);
    const { signedBy, contentKey, why } = checked;
    if (why !== null) this.#of(source).unverified[why] += 1;
    if (contentKey !== null) this.#of(source).sealed += 1;
    const proven = signedBy === null ? null : { source, gateway: signedBy, isProven: true };
    return this.#open(delivery, sender ?? proven, checked);
  }

  /** `sender`: null when nothing proves which gateway has sent the message. */
  #open(delivery: Delivery, sender: Sender | null, { signedBy, contentKey }: Proof): Promise<Settlement> {
    const isVerified = signedBy !== null;
    const { source, bytes, authenticatedGateway } = delivery;
    const isSigned = authenticatedGateway === null && sender !== null;
    const over = isSigned ? this.#overRate(delivery, sender) : null;
    if (over !== null) return over;
    const gateway = sender?.gateway ?? null;
    const lane = JSON.stringify([source, gateway]);
    return this.#decoder.decode({ lane, bytes, gateway, contentKey }, (decoded) => {
      if (decoded === 'later') return Promise.resolve(this.#retry(source, 'later'));
      if ('reason' in decoded) return this.#deadLetter(delivery, decoded, sender);
      const unsigned = isVerified ? null : this.#signatures?.refusalOf(decoded.gateway);
      const unsealed = contentKey === null ? this.#seals?.unsealed(decoded.stream) : null;
      const refused = foreign(authenticatedGateway, gateway, decoded) ?? unsigned ?? unsealed;
      if (refused) return this.#deadLetter(delivery, refused, sender);
      const named = sender ?? { source, gateway: decoded.gateway, isProven: false };
      return this.#overContent(delivery, named, decoded) ?? this.#place(delivery, decoded, named, isVerified);
    });
  }

  /** Null for a message within its gateway's rates, or of no known gateway. */
  #overRate(delivery: Delivery, sender: Sender | null): Promise<Settlement> | null {
    const over = sender && this.#quotas?.message(sender, delivery.bytes.length);
    return over ? this.#exceeded(delivery, sender, over) : null;
  }

  /** The same for what only the opened envelope tells. A name that nothing proves has quotas of its own. */
  #overContent(delivery: Delivery, sender: Sender, envelope: Envelope): Promise<Settlement> | null {
    const over = sender.isProven ? null : this.#overRate(delivery, sender);
    if (over !== null) return over;
    const overContent =
      this.#quotas?.stream(sender, envelope) ?? this.#quotas?.stored(sender, storedBytes(envelope.records));
    return overContent ? this.#exceeded(delivery, sender, overContent) : null;
  }

  /** The message waits at its source, or is kept aside where it would delay those of other gateways. */
  #exceeded(delivery: Delivery, sender: Sender, over: OverQuota): Promise<Settlement> {
    const waits = delivery.mayWait?.(over.waitMs) ?? false;
    this.#quotas?.exceeded(sender, over, waits ? 'waits' : 'dead-letter');
    if (waits) return Promise.resolve(this.#retry(delivery.source, 'later'));
    const detail = `${sender.gateway} is over its quota of ${over.quota}`;
    return this.#deadLetter(delivery, { reason: 'quota', detail }, sender);
  }

  /** Gives an envelope its place in a commit, at once: the order of the calls is that of the commits. */
  #place(delivery: Delivery, envelope: Envelope, sender: Sender, verified: boolean): Promise<Settlement> {
    const { source, deliveryCount, sentAs = null } = delivery;
    const redelivered = deliveryCount !== null && deliveryCount > 1;
    const came = { source, receivedWallMs: this.#clock.wallMs(), redelivered, sentAs };
    const rangesMax = this.#quotas?.rangesMax(envelope.gateway) ?? Number.POSITIVE_INFINITY;
    const entry = { envelope, ...came, verified, jumpMax: this.#jumpMax, rangesMax };
    // Asked again: others may have come while this one was checked and decoded.
    const admitted = this.#isFull(source) ? 'leave' : this.#setAside.admit(envelope);
    if (admitted === 'leave') return Promise.resolve(this.#retry(source, 'later'));
    return new Promise((settle) => {
      const waiting = { entry, delivery, sender, bytes: sizeOf(envelope), settle };
      if (admitted === 'probe') this.#probe(waiting);
      else this.#enqueue(waiting);
    });
  }

  #isFull(source: string): boolean {
    const waitingBytes = this.#turns.bytes;
    const isFull = waitingBytes >= this.#limits.pendingBytesMax;
    if (isFull) this.#log.warn('ingest.overloaded', { source, waitingBytes });
    return isFull;
  }

  /** Resolves when no message waits for the ledger. Stop the sources first. */
  async drain(): Promise<void> {
    await this.#decoder.drain();
    this.#isDraining = true;
    this.#letterTurns.hurry();
    this.#resting?.abort();
    while (this.#committing !== null) await this.#committing;
    await Promise.all(this.#probing);
  }

  #enqueue(waiting: Waiting): void {
    this.#turns.add(waiting, this.#clock.monoMs());
    this.#resting?.abort();
    this.#committing ??= this.#commitAll();
  }

  /** Commits one envelope by itself, beside the groups. */
  #probe(waiting: Waiting): void {
    const probing = this.#commitGroup([waiting]).finally(() => {
      this.#setAside.probed(waiting.entry.envelope);
      this.#probing.delete(probing);
    });
    this.#probing.add(probing);
  }

  async #commitAll(): Promise<void> {
    while (this.#turns.size > 0) {
      // An embedded engine commits without yielding the thread: first take in the messages that arrived
      // meanwhile.
      await nextTurn();
      const before = this.#progress;
      const startedMs = this.#clock.monoMs();
      // A stop waits for nobody's rest.
      const { group, waitMs } = this.#turns.next(this.#isDraining ? Number.POSITIVE_INFINITY : startedMs);
      if (group.length === 0) {
        this.#resting = new AbortController();
        await this.#clock.sleep(waitMs, this.#resting.signal);
        continue;
      }
      await this.#commitGroup(group);
      const endedMs = this.#clock.monoMs();
      this.#turns.took(group, endedMs - startedMs, endedMs);
      // A single refused message may be at fault; when several messages all fail, the engine is.
      if (this.#progress === before && group.length > 1) this.#gate?.close(this.#failure);
    }
    this.#committing = null;
  }

  async #commitGroup(group: readonly Waiting[]): Promise<void> {
    const results = await this.#tryCommit(group);
    const [only] = group;
    if (Array.isArray(results)) {
      await this.#settle(group, results);
    } else if (results instanceof EntriesBlocked) {
      await this.#commitOthers(group, results.entries);
    } else if (results !== null && only && group.length === 1) {
      const refusal = { reason: results.reason, detail: results.message };
      const settlement = await this.#deadLetter(only.delivery, refusal, only.sender, true);
      if (settlement === 'settle') this.#progress += 1;
      only.settle(settlement);
    } else if (await this.#engineAnswers()) {
      await this.#commitHalves(group);
    } else {
      // Closed first, so that a source that gets a message back receives no more.
      this.#gate?.close(this.#failure);
      this.#giveBack(group, 'retry');
    }
  }

  /** Commits the unblocked entries; the blocked entries are left for redelivery. */
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
      settle(this.#retry(delivery.source, 'later'));
    }
    if (others.length > 0) await this.#commitGroup(others);
  }

  async #commitHalves(group: readonly Waiting[]): Promise<void> {
    if (group.length === 1) return this.#giveBack(group, 'later');
    const middle = Math.floor(group.length / 2);
    await this.#commitGroup(group.slice(0, middle));
    await this.#commitGroup(group.slice(middle));
  }

  #giveBack(group: readonly Waiting[], how: 'retry' | 'later'): void {
    for (const { delivery, settle } of group) settle(this.#retry(delivery.source, how));
  }

  async #settle(group: readonly Waiting[], results: readonly CommitResult[]): Promise<void> {
    const taken: LedgerEntry[] = [];
    const refused: Promise<void>[] = [];
    for (const [i, { delivery, sender, entry, settle }] of group.entries()) {
      const result = results[i];
      if (result?.refused) {
        const { reason } = result.refused;
        if (reason === 'quota') this.#quotas?.exceeded(sender, { quota: 'ranges' }, 'dead-letter');
        refused.push(this.#deadLetter(delivery, result.refused, sender, true).then(settle));
        continue;
      }
      if (result) this.#count(delivery.source, result);
      this.#ages?.committed(delivery, entry.envelope);
      settle('settle');
      taken.push(entry);
    }
    this.#progress += 1;
    this.#gate?.committed();
    this.#onCommit(taken);
    await Promise.all(refused);
  }

  /**
   * The error when an entry can never be committed, or when some have to wait; null for any other failure.
   */
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
      // The failed commit just before has logged the reason.
      return false;
    }
  }

  /**
   * `sender`: whose share of the dead letters it takes, where its name is proven. `isNow`: by a commit, which
   * has had its turn, and for which others wait.
   */
  async #deadLetter(
    delivery: Delivery,
    { reason, detail }: Refusal,
    sender: Sender | null,
    isNow: boolean = false,
  ): Promise<Settlement> {
    const { source, bytes, authenticatedGateway, properties } = delivery;
    const gateway = sender?.isProven ? sender.gateway : null;
    const known = { source, reason, detail, bytes, authenticatedGateway, gateway };
    try {
      const write = () => {
        const letter = { ...known, receivedWallMs: this.#clock.wallMs(), properties: properties?.() ?? {} };
        return this.#ledger.deadLetter(letter);
      };
      await (isNow ? write() : this.#letterTurns.inTurn(gateway ?? authenticatedGateway ?? source, write));
    } catch (error) {
      this.#log.warn('ingest.dead_letter_failed', { source, reason, error: errorText(error) });
      const answers = await this.#engineAnswers();
      if (!answers) this.#gate?.close(errorText(error));
      return this.#retry(source, answers ? 'later' : 'retry');
    }
    const counters = this.#of(source);
    counters.deadLetters += 1;
    counters.deadLetterReasons[reason] = (counters.deadLetterReasons[reason] ?? 0) + 1;
    this.#log.warn('ingest.dead_letter', { source, reason, detail, bytes: bytes.length });
    delivery.onDeadLetter?.(reason);
    return 'settle';
  }

  #retry(source: string, how: 'retry' | 'later'): Settlement {
    this.#of(source).retries += 1;
    return how;
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
      counters = noCounts();
      this.#counters.set(source, counters);
    }
    return counters;
  }
}
