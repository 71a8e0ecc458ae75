/**
 * Sends the buffer's records to the clouds. Reads runs of each stream from the store, packs envelopes, and
 * sends each to as many providers as the stream has copies, chosen by routing. The SQLite buffer is the only
 * queue: unsent records stay there, and memory holds only the envelopes under way.
 *
 * A row is freed only when `copies` providers accepted it (I3). A stream with a residency goes only to
 * providers that routing allows (I4).
 */
import type { Clock, Timer } from '../../shared/clock.ts';
import { envelopeProperties } from '../../shared/envelope/codec.ts';
import type { Envelope, EnvelopeClock } from '../../shared/envelope/envelope.ts';
import { versionOf } from '../../shared/envelope/frame.ts';
import { errorText, type Logger } from '../../shared/log.ts';
import type { Policy } from '../../shared/policy/policy.ts';
import type { Service } from '../../shared/service.ts';
import { within } from '../../shared/within.ts';
import { type Protect, UNPROTECTED } from '../keys/protection.ts';
import type { OutboundEnvelope } from '../providers/publisher.ts';
import type { LiveRouting } from '../routing/live-routing.ts';
import type { StoredRecord } from '../store/types.ts';
import { type Acceptance, acceptanceOf } from './acceptance.ts';
import type { Buffer } from './buffer.ts';
import { deliver, withReason } from './delivery/delivery.ts';
import { Hedging } from './delivery/hedging.ts';
import { Reservations } from './delivery/reservations.ts';
import { type Sender, senderOf, tooSmallFor, uploadingAt } from './delivery/sender.ts';
import { heartbeat } from './heartbeat.ts';
import type { Lane } from './queue/lanes.ts';
import { Settlements } from './queue/settlements.ts';
import type { Stream, StreamProgress } from './queue/stream.ts';
import type { Run, StreamQueue } from './queue/stream-queue.ts';
import { Streams } from './queue/streams.ts';
import { Refusals } from './refusals.ts';
import { RowReader } from './row-reader.ts';

const NOBODY: ReadonlySet<string> = new Set();
const TICK_MS = 25;
/** Most rows read from the store for one envelope. */
const ROWS_PER_ENVELOPE_MAX = 5000;
/** Rows that wait longer than this move to the backlog lane. */
const LIVE_MS = 5000;
const STOP_WAIT_MS = 1500;
/** Further gaps travel with the next envelope (I10). */
const GAPS_PER_ENVELOPE_MAX = 500;

export class Forwarder implements Service {
  readonly #gateway: string;
  readonly #store: Buffer;
  readonly #routing: LiveRouting;
  readonly #senders: ReadonlyMap<string, Sender>;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly hedging: Hedging;
  readonly #currentClock: () => EnvelopeClock;
  readonly #protect: Protect;
  readonly #onAccepted: (acceptance: Acceptance) => void;
  readonly #streams: Streams;
  readonly #reader: RowReader;
  readonly settlements: Settlements;
  readonly #refusals: Refusals;
  readonly #underWay = new Set<Promise<void>>();
  readonly #timers: Timer[] = [];
  #pumpQueued: boolean = false;
  #stopping: boolean = false;

  constructor(options: {
    gateway: string;
    policy: Policy;
    store: Buffer;
    routing: LiveRouting;
    senders: ReadonlyMap<string, Sender>;
    currentClock: () => EnvelopeClock;
    protect?: Protect;
    /** Called once for each accepted envelope, also for a late acceptance; not for probes. */
    onAccepted?: (acceptance: Acceptance) => void;
    clock: Clock;
    log: Logger;
    /** Whether the router sends receipts. */
    receipts?: boolean;
  }) {
    this.#gateway = options.gateway;
    this.#store = options.store;
    this.#routing = options.routing;
    this.#senders = options.senders;
    this.#currentClock = options.currentClock;
    this.#protect = options.protect ?? (() => UNPROTECTED);
    this.#onAccepted = options.onAccepted ?? (() => undefined);
    this.#clock = options.clock;
    this.#log = options.log;
    const { policy, store, routing, senders, clock, log, receipts = false } = options;
    this.settlements = new Settlements({ store, clock, log, receipts });
    this.#refusals = new Refusals({ store, settlements: this.settlements, routing, senders, clock, log });
    this.#reader = new RowReader({ store, log });
    this.#streams = new Streams({ policy, store, settlements: this.settlements, log });
    this.hedging = new Hedging({ policy: policy.hedge, routing, providers: senders.keys(), clock });
  }

  start(): Promise<void> {
    this.#streams.takeOver();
    this.#store.onReopen(() => {
      this.#streams.takeOver();
      this.#pumpSoon();
    });
    this.#store.onCommit((committed) => {
      const now = this.#clock.monoMs();
      for (const { stream, first, last, bytes } of committed) {
        this.#streams.of(stream).current(this.#store.epoch).committed(first, last, bytes, now);
      }
      this.#pumpSoon();
    });
    this.#store.onGaps((gaps) => {
      for (const gap of gaps) {
        const queue = this.#streams.of(gap.stream).queues.find(({ epoch }) => epoch === gap.epoch);
        queue?.gaveUp(gap);
      }
      this.#pumpSoon();
    });
    this.#routing.start({ onProbe: (provider) => this.#probe(provider), onChange: () => this.#pumpSoon() });
    this.#timers.push(
      this.#clock.every(TICK_MS, () => this.#pump()),
      this.#clock.every(1000, () => this.#streams.measure()),
    );
    this.#pumpSoon();
    return Promise.resolve();
  }

  /** Stops sending, waits a moment for envelopes under way, then closes the providers. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#routing.stop();
    for (const timer of this.#timers) timer.cancel();
    await within(this.#clock, STOP_WAIT_MS, Promise.all(this.#underWay), () => []);
    await Promise.all([...this.#senders.values()].map((sender) => sender.close()));
    await Promise.all(this.#underWay);
  }

  /** Another policy holds; further tries of an envelope that is under way go where it allows (I4). */
  setPolicy(policy: Policy): void {
    this.#streams.setPolicy(policy);
    this.hedging.policy = policy.hedge;
    this.#pumpSoon();
  }

  /** All streams with queues, including those that left the policy. */
  queued(): Iterable<Stream> {
    return this.#streams.all();
  }

  /** Progress of all streams. */
  streams(): StreamProgress[] {
    return this.#streams.progress(this.#clock.monoMs(), this.#currentClock());
  }

  #pumpSoon(): void {
    if (this.#pumpQueued || this.#stopping) return;
    this.#pumpQueued = true;
    this.#clock.setTimer(0, () => {
      this.#pumpQueued = false;
      this.#pump();
    });
  }

  #pump(): void {
    if (this.#stopping) return;
    const now = this.#clock.monoMs();
    for (const stream of this.#streams.inTurn()) if (stream.ready(now)) this.#pumpStream(stream);
  }

  #pumpStream(stream: Stream): void {
    for (const queue of stream.queues) queue.age(this.#clock.monoMs(), LIVE_MS);
    for (const lane of stream.lanes.order(this.#clock.monoMs())) if (this.#takeFrom(stream, lane)) return;
    const announcing = stream.queues.find((queue) => queue.announces);
    if (!announcing) return;
    const reservations = this.#reservations(stream, { acceptedBy: NOBODY }, 'backlog', false);
    if (reservations) this.#track(this.#announce(stream, announcing, reservations));
  }

  /** Begins an envelope of the lane, when one is due and a provider has room. */
  #takeFrom(stream: Stream, lane: Lane): boolean {
    for (const queue of stream.queues) {
      for (const found of queue.runs(lane, ROWS_PER_ENVELOPE_MAX)) {
        if (this.#refusals.settle(stream, queue, found)) return true;
        const run = this.#refusals.afterMisses(queue, found);
        if (!stream.due(queue, run, this.#clock.monoMs())) continue;
        const reservations = this.#reservations(stream, run, lane, this.#refusals.isSuspect(queue, run));
        if (!reservations) continue;
        stream.lanes.took(lane);
        this.#track(this.#build(stream, queue, run, lane, reservations));
        return true;
      }
    }
    return false;
  }

  /**
   * Reserves room at the providers that may take an envelope of the stream now; null unless all of them have
   * room.
   */
  #reservations(
    stream: Stream,
    { acceptedBy, avoid, unfit }: Pick<Run, 'acceptedBy' | 'avoid' | 'unfit'>,
    lane: Lane,
    isSuspect: boolean,
  ): Reservations | null {
    const wanted = Math.max(1, stream.policy.redundancy - acceptedBy.size);
    const held = acceptedBy.union(avoid ?? NOBODY).union(unfit ?? NOBODY);
    const exclude = held.union(uploadingAt(this.#senders));
    for (const targets of this.#routing.targets(stream.name, exclude, stream.turn, wanted)) {
      const bytes = this.#targetBytes(stream, lane, targets);
      const reservations = new Reservations(this.#senders, { lane, bytes, turn: stream.turn, isSuspect });
      if (!reservations.reserveAll(targets)) continue;
      stream.turn += 1;
      return reservations;
    }
    return null;
  }

  #track(work: Promise<void>): void {
    const tracked: Promise<void> = work
      .catch((error: unknown) => this.#log.error({ event: 'forward.failed', error: errorText(error) }))
      .finally(() => this.#underWay.delete(tracked));
    this.#underWay.add(tracked);
  }

  /** Sends gaps and the end of an epoch without records: one such envelope at a time. */
  async #announce(stream: Stream, queue: StreamQueue, reservations: Reservations): Promise<void> {
    queue.announcing = true;
    try {
      await this.#build(stream, queue, null, 'backlog', reservations);
    } finally {
      queue.announcing = false;
    }
  }

  /** Reads a run, packs an envelope and sends it. One build per stream at a time; deliveries overlap. */
  async #build(
    stream: Stream,
    queue: StreamQueue,
    run: Run | null,
    lane: Lane,
    reservations: Reservations,
  ): Promise<void> {
    stream.building = true;
    const startedMs = this.#clock.monoMs();
    if (run) queue.reserve(run.first, run.last);
    let packed: { bytes: Uint8Array; envelope: Envelope };
    try {
      const rows = run
        ? await this.#reader.read(queue, run, stream.packer.rawBytesFor(reservations.bytes))
        : [];
      packed = this.#packed(stream, queue, lane, rows, reservations.bytes);
    } catch (error) {
      reservations.release();
      this.#log.error({
        event: 'forward.read_failed',
        stream: stream.name,
        epoch: queue.epoch,
        error: errorText(error),
      });
      if (run) queue.release(run.first, run.last);
      stream.pause(this.#clock.monoMs());
      return;
    } finally {
      stream.building = false;
    }
    const { envelope, bytes } = packed;
    const last = envelope.records.at(-1)?.seq;
    const range = run && last !== undefined ? { ...run, last } : null;
    const rest = run && last !== undefined && last < run.last ? { first: last + 1, last: run.last } : null;
    if (run) queue.packed({ first: run.first, last: last ?? run.last }, rest);
    const restMs = stream.lanes.built(lane, startedMs, this.#clock.monoMs());
    if (restMs > 0) this.#clock.setTimer(restMs, () => this.#pump());
    this.#pumpSoon();
    if (run && !range) return reservations.release();
    if (range && this.#refusals.isTooLarge(stream, queue, range, envelope, bytes.length)) {
      reservations.release();
      queue.release(range.first, range.last);
      return;
    }
    const message = {
      gateway: this.#gateway,
      stream: stream.name,
      bytes,
      properties: envelopeProperties(envelope, versionOf(bytes)),
    };
    await this.#deliver(stream, queue, range, envelope, message, reservations);
  }

  /**
   * Live envelopes aim at the policy's size; backlog envelopes at the size that the targets' windows allow
   * and every provider takes.
   */
  #targetBytes(stream: Stream, lane: Lane, targets: readonly string[]): number {
    const limits = targets.map((provider) => senderOf(this.#senders, provider).aimEnvelopeBytes);
    if (lane === 'live') return Math.min(stream.policy.envelope_bytes, ...limits);
    const windows = targets.map((provider) => senderOf(this.#senders, provider).backlogEnvelopeBytes);
    return Math.min(...windows, ...[...this.#senders.values()].map((sender) => sender.aimEnvelopeBytes));
  }

  /** Gaps travel with the next envelope where they leave room for a record. */
  #packed(
    stream: Stream,
    queue: StreamQueue,
    lane: Lane,
    rows: readonly StoredRecord[],
    bytesMax: number,
  ): { bytes: Uint8Array; envelope: Envelope } {
    const withGaps = rows.length === 0 || !queue.gapsAlone;
    const protection = this.#protect(stream.policy);
    const packed = stream.packer.pack(this.#header(queue, lane, withGaps), rows, bytesMax, protection);
    const hasGaps = packed.envelope.gaps.length > 0;
    if (packed.bytes.length <= bytesMax || rows.length === 0 || !hasGaps) return packed;
    return stream.packer.pack(this.#header(queue, lane, false), rows, bytesMax, protection);
  }

  #header(queue: StreamQueue, lane: Lane, withGaps: boolean): Omit<Envelope, 'records'> {
    const clock =
      queue.epoch === this.#store.epoch
        ? this.#currentClock()
        : this.#store.epochs().find(({ epoch }) => epoch === queue.epoch)?.clock;
    return {
      gateway: this.#gateway,
      epoch: queue.epoch,
      stream: queue.stream,
      clock: clock ?? this.#currentClock(),
      lane,
      gaps: withGaps ? queue.gaps.slice(0, GAPS_PER_ENVELOPE_MAX) : [],
      sealedAt: withGaps ? queue.sealedAt : null,
    };
  }

  async #deliver(
    stream: Stream,
    queue: StreamQueue,
    range: Run | null,
    envelope: Envelope,
    message: OutboundEnvelope,
    reservations: Reservations,
  ): Promise<void> {
    const copies = range ? stream.policy.redundancy : 1;
    const bytes = message.bytes.length;
    let progressed = false;
    // The rows came back to the buffer: the earlier provider may have taken them after all.
    const before = range && (range.avoid || stream.isStuck(queue, range)) ? 'failover' : null;
    const never = tooSmallFor(this.#senders, bytes)
      .union(range?.avoid ?? NOBODY)
      .union(range?.unfit ?? NOBODY);
    const closed = (exclude: ReadonlySet<string>) => exclude.union(never);
    const delivery = deliver(message, copies, range?.acceptedBy ?? new Set(), {
      candidates: (name, exclude) => this.#routing.candidates(name, closed(exclude), reservations.turn),
      reserve: (provider) => reservations.reserve(provider),
      send: async (provider, why, signal) => {
        const reasoned = withReason(message, why ?? before);
        const reservation = reservations.use(provider);
        const rules = this.#refusals.rules(stream, queue, envelope, provider, bytes);
        const outcome = await senderOf(this.#senders, provider).send(reasoned, reservation, signal, rules);
        // Includes hedges that are answered after the delivery ended.
        if (outcome.kind === 'accepted') this.#onAccepted(acceptanceOf(provider, envelope, range, message));
        this.#refusals.saw(stream, queue, envelope, provider, outcome, bytes);
        return outcome;
      },
      afterHedgeDelay: (provider, run) => this.hedging.afterDelay(provider, message, envelope.lane, run),
      takeHedge: (slow, exclude) => {
        const target = this.hedging.take(slow, stream.name, closed(exclude), reservations);
        // The slow try counts as a failure there, which starts the failover time of its records.
        if (target !== null && range) stream.failed(queue, range.first, slow, this.#clock.monoMs());
        return target;
      },
      onHedgeEnd: (slow, end) => this.hedging.ended(slow, end),
      onAccepted: (provider) => {
        progressed = true;
        this.settlements.accepted(stream, queue, range, envelope, provider);
      },
      onFailed: (provider) => {
        if (range) stream.failed(queue, range.first, provider, this.#clock.monoMs());
      },
    });
    // Routing may have changed its choice while the envelope was read.
    reservations.release();
    const end = await delivery;
    if (range) {
      queue.release(range.first, range.last);
      if (end === 'delivered') stream.delivered(envelope.records.length, envelope.lane);
    }
    if (progressed) stream.progressed();
    // A crowded envelope begins again when there is room.
    else if (end === 'refused') stream.pause(this.#clock.monoMs());
    stream.forgetFinished(this.#store.epoch);
    this.#pumpSoon();
  }

  #probe(provider: string): void {
    if (this.#stopping) return;
    const { signer } = this.#protect({ seal: false });
    const message = heartbeat(this.#gateway, this.#store.epoch, this.#currentClock(), signer);
    this.#track(senderOf(this.#senders, provider).probe(message));
  }
}
