/**
 * From the buffer to the clouds. Takes runs of each stream from the store, packs envelopes, and sends each to as many
 * providers as the stream asks for, chosen by routing. The SQLite buffer is the only queue: what cannot be sent now stays
 * there, and memory holds only the envelopes under way.
 *
 * A row is freed only when `copies` providers accepted it (I3); a stream with a residency goes only where routing lets it (I4).
 */
import type { Clock, Timer } from '../../shared/clock.ts';
import { envelopeProperties } from '../../shared/envelope/codec.ts';
import type { Envelope, EnvelopeClock } from '../../shared/envelope/envelope.ts';
import { IntervalSet } from '../../shared/interval-set.ts';
import { errorText, type Logger } from '../../shared/log.ts';
import { type Policy, type StreamPolicy, streamSchema } from '../../shared/policy.ts';
import type { Service } from '../../shared/service.ts';
import type { OutboundEnvelope } from '../cloud/publisher.ts';
import type { StoredRecord, StreamState } from '../store/types.ts';
import type { Buffer } from './buffer.ts';
import { deliver } from './delivery.ts';
import { heartbeat } from './heartbeat.ts';
import type { Lane } from './lanes.ts';
import type { LiveRouting } from './live-routing.ts';
import type { Sender } from './sender.ts';
import { Stream, type StreamProgress } from './stream.ts';
import { type Run, StreamQueue } from './stream-queue.ts';

const TICK_MS = 25;
/** Rows asked of the store for one envelope. */
const ROWS_PER_ENVELOPE_MAX = 5000;
/** Rows that nobody took for so long travel in the backlog lane. */
const LIVE_MS = 5000;
/** Backlog envelopes grow to this, or to the smallest provider's limit. */
const BACKLOG_BYTES = 96 * 1024;
const STOP_WAIT_MS = 1500;
/** The rest travels with the next one (I10). */
const GAPS_PER_ENVELOPE_MAX = 500;

export class Forwarder implements Service {
  readonly #gateway: string;
  readonly #store: Buffer;
  readonly #routing: LiveRouting;
  readonly #senders: ReadonlyMap<string, Sender>;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #currentClock: () => EnvelopeClock;
  readonly #streams = new Map<string, Stream>();
  readonly #policy: Policy;
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
    clock: Clock;
    log: Logger;
  }) {
    this.#gateway = options.gateway;
    this.#policy = options.policy;
    this.#store = options.store;
    this.#routing = options.routing;
    this.#senders = options.senders;
    this.#currentClock = options.currentClock;
    this.#clock = options.clock;
    this.#log = options.log;
  }

  start(): Promise<void> {
    for (const [name, policy] of Object.entries(this.#policy.streams)) this.#addStream(name, policy);
    this.#takeOver();
    this.#store.onReopen(() => this.#takeOver());
    this.#store.onCommit((committed) => {
      const now = this.#clock.monoMs();
      for (const { stream, first, last, bytes } of committed) {
        this.#streamOf(stream).current(this.#store.epoch).committed(first, last, bytes, now);
      }
      this.#pumpSoon();
    });
    this.#store.onGaps((gaps) => {
      for (const gap of gaps) {
        const queue = this.#streamOf(gap.stream).queues.find(({ epoch }) => epoch === gap.epoch);
        queue?.gaveUp(gap);
      }
      this.#pumpSoon();
    });
    this.#routing.start({ onProbe: (provider) => this.#probe(provider), onChange: () => this.#pumpSoon() });
    this.#timers.push(
      this.#clock.every(TICK_MS, () => this.#pump()),
      this.#clock.every(1000, () => this.#measure()),
    );
    this.#pumpSoon();
    return Promise.resolve();
  }

  /** Sends nothing more; waits a moment for what is under way, then closes the providers. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#routing.stop();
    for (const timer of this.#timers) timer.cancel();
    await Promise.race([Promise.all(this.#underWay), this.#clock.sleep(STOP_WAIT_MS)]);
    await Promise.all([...this.#senders.values()].map((sender) => sender.close()));
    await Promise.all(this.#underWay);
  }

  /** For status. */
  streams(): StreamProgress[] {
    const now = this.#clock.monoMs();
    return [...this.#streams.values()].map((stream) => stream.progress(now));
  }

  #addStream(name: string, policy: StreamPolicy): Stream {
    const stream = new Stream(name, policy);
    this.#streams.set(name, stream);
    return stream;
  }

  /** What the store held when it was opened. A queue that is here already knows more than the disk of what is under way. */
  #takeOver(): void {
    const states = this.#store.initialState();
    for (const { name, queues } of this.#streams.values()) {
      for (const queue of queues) {
        if (!states.some(({ epoch, stream }) => epoch === queue.epoch && stream === name)) queue.vanished();
      }
    }
    for (const state of states) {
      const { queues } = this.#streamOf(state.stream);
      const known = queues.find(({ epoch }) => epoch === state.epoch);
      if (known) known.reopened(state);
      else queues.push(this.#queueOf(state));
    }
    this.#pumpSoon();
  }

  /** Its stream may ask for fewer copies than when the file was closed: what has enough now is reported again, which frees it. */
  #queueOf(state: StreamState): StreamQueue {
    const queue = new StreamQueue(state);
    const { epoch, stream } = state;
    const copies = this.#streamOf(stream).policy.redundancy;
    for (const [provider, accepted] of state.accepted) {
      for (const { first, last } of accepted.ranges()) {
        queue.accepted(provider, first, last, copies);
        void this.#store.accept({ epoch, stream, provider, first, last, copies });
      }
    }
    return queue;
  }

  /** A stream that left the policy with rows in the buffer: routing has no candidates for it, so its rows wait (I4). */
  #streamOf(name: string): Stream {
    const known = this.#streams.get(name);
    if (known) return known;
    this.#log.warn({ event: 'forward.stream_not_in_policy', stream: name });
    return this.#addStream(name, streamSchema.parse({ topics: ['#'] }));
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
    for (const stream of this.#streams.values()) if (stream.ready(now)) this.#pumpStream(stream);
  }

  #pumpStream(stream: Stream): void {
    for (const queue of stream.queues) queue.age(this.#clock.monoMs(), LIVE_MS);
    for (const lane of stream.lanes.order(this.#clock.monoMs())) if (this.#takeFrom(stream, lane)) return;
    const announcing = stream.queues.find((queue) => queue.announces);
    if (announcing && this.#open(stream, new Set())) this.#track(this.#announce(stream, announcing));
  }

  /** Begins an envelope of the lane, when one is due and a provider has room for it. */
  #takeFrom(stream: Stream, lane: Lane): boolean {
    for (const queue of stream.queues) {
      for (const run of queue.runs(lane, ROWS_PER_ENVELOPE_MAX)) {
        if (!stream.due(queue, run, this.#clock.monoMs())) continue;
        if (!this.#open(stream, run.acceptedBy)) continue;
        stream.lanes.took(lane);
        this.#track(this.#build(stream, queue, run, lane));
        return true;
      }
    }
    return false;
  }

  /** Whether a provider may take an envelope of the stream now and has room for it. */
  #open(stream: Stream, acceptedBy: ReadonlySet<string>): boolean {
    const wanted = Math.max(1, stream.policy.redundancy - acceptedBy.size);
    const targets = this.#routing.candidates(stream.name, acceptedBy).slice(0, wanted);
    return targets.length > 0 && targets.every((provider) => this.#senders.get(provider)?.full === false);
  }

  #track(work: Promise<void>): void {
    const tracked: Promise<void> = work
      .catch((error: unknown) => this.#log.error({ event: 'forward.failed', error: errorText(error) }))
      .finally(() => this.#underWay.delete(tracked));
    this.#underWay.add(tracked);
  }

  /** Sends gaps and the end of an epoch that no rows travel with: one such envelope at a time. */
  async #announce(stream: Stream, queue: StreamQueue): Promise<void> {
    queue.announcing = true;
    try {
      await this.#build(stream, queue, null, 'backlog');
    } finally {
      queue.announcing = false;
    }
  }

  /** Reads a run, packs an envelope and sends it. One build per stream at a time; deliveries overlap. */
  async #build(stream: Stream, queue: StreamQueue, run: Run | null, lane: Lane): Promise<void> {
    stream.building = true;
    const startedMs = this.#clock.monoMs();
    if (run) queue.reserve(run.first, run.last);
    let packed: { bytes: Uint8Array; envelope: Envelope };
    try {
      const target = this.#targetBytes(stream, run, lane);
      const rows = run ? await this.#read(queue, run, stream.packer.rawBytesFor(target)) : [];
      packed = stream.packer.pack(this.#header(queue, lane), rows, target);
    } catch (error) {
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
    if (run && !range) return;
    const message = {
      gateway: this.#gateway,
      stream: stream.name,
      bytes,
      properties: envelopeProperties(envelope),
    };
    await this.#deliver(stream, queue, range, envelope, message);
  }

  /** Rows of a run, ascending. Rows that are gone become a gap that is delivered too: nothing is lost silently (I3). */
  async #read(queue: StreamQueue, run: Run, maxBytes: number): Promise<StoredRecord[]> {
    const rows = await this.#store.read(queue.epoch, queue.stream, run.first, run.last, maxBytes);
    const last = rows.at(-1)?.seq ?? run.last;
    // Ascending, and as many as there are numbers: none is missing.
    if (rows.length === last - run.first + 1) return rows;
    const there = IntervalSet.of(rows.map(({ seq }) => ({ first: seq, last: seq })));
    for (const hole of there.missing(run.first, last)) {
      this.#log.error({
        event: 'forward.rows_unreadable',
        stream: queue.stream,
        epoch: queue.epoch,
        ...hole,
      });
      // The store makes it a gap, and says so.
      await this.#store.giveUp(queue.epoch, queue.stream, hole.first, hole.last, 'corruption');
    }
    return rows;
  }

  #targetBytes(stream: Stream, run: Run | null, lane: Lane): number {
    if (!run || lane === 'live') return stream.policy.envelope_bytes;
    return Math.min(BACKLOG_BYTES, ...[...this.#senders.values()].map((sender) => sender.maxEnvelopeBytes));
  }

  #header(queue: StreamQueue, lane: Lane): Omit<Envelope, 'records'> {
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
      gaps: queue.gaps.slice(0, GAPS_PER_ENVELOPE_MAX),
      sealedAt: queue.sealedAt,
    };
  }

  async #deliver(
    stream: Stream,
    queue: StreamQueue,
    range: Run | null,
    envelope: Envelope,
    message: OutboundEnvelope,
  ): Promise<void> {
    const copies = range ? stream.policy.redundancy : 1;
    let progressed = false;
    const delivered = await deliver(message, copies, range?.acceptedBy ?? new Set(), {
      candidates: (name, exclude) => this.#routing.candidates(name, exclude),
      send: (provider) => this.#senderOf(provider).send(message),
      onAccepted: (provider) => {
        progressed = true;
        this.#accepted(stream, queue, range, envelope, provider);
      },
      onFailed: (provider) => {
        if (range) stream.failed(queue, range.first, provider, this.#clock.monoMs());
      },
    });
    if (range) {
      queue.release(range.first, range.last);
      if (delivered) stream.delivered(envelope.records.length);
    }
    if (progressed) stream.progressed();
    else stream.pause(this.#clock.monoMs());
    stream.forgetFinished(this.#store.epoch);
    this.#pumpSoon();
  }

  #accepted(
    stream: Stream,
    queue: StreamQueue,
    range: Run | null,
    envelope: Envelope,
    provider: string,
  ): void {
    const { epoch } = queue;
    const copies = stream.policy.redundancy;
    const frees: Array<Promise<void>> = [];
    if (range) {
      const { first, last } = range;
      queue.accepted(provider, first, last, copies);
      frees.push(this.#store.accept({ epoch, stream: stream.name, provider, first, last, copies }));
      const recovery = stream.recovered(queue, range, this.#clock.monoMs());
      if (recovery) {
        this.#log.info({ event: 'forward.recovered', stream: stream.name, epoch, to: provider, ...recovery });
      }
    }
    for (const gap of envelope.gaps) {
      queue.gapDelivered(gap);
      frees.push(this.#store.acceptGap(epoch, stream.name, gap.first, gap.last));
    }
    if (envelope.sealedAt !== null && queue.sealedAt !== null) {
      queue.sealedAt = null;
      frees.push(this.#store.acceptSeal(epoch, stream.name));
    }
    // A free that is not durable yet is at worst sent again after a crash: nothing waits for it.
    for (const free of frees) {
      free.catch((error: unknown) =>
        this.#log.warn({ event: 'forward.free_failed', epoch, error: errorText(error) }),
      );
    }
  }

  #probe(provider: string): void {
    if (this.#stopping) return;
    const message = heartbeat(this.#gateway, this.#store.epoch, this.#currentClock());
    this.#track(
      this.#senderOf(provider)
        .send(message, true)
        .then(() => undefined),
    );
  }

  #senderOf(provider: string): Sender {
    const sender = this.#senders.get(provider);
    if (!sender) throw new Error(`no sender for provider ${provider}`);
    return sender;
  }

  #measure(): void {
    for (const stream of this.#streams.values()) stream.measure();
  }
}
