/**
 * Envelopes that a provider refuses permanently. No envelope is uploaded for ever: a refused envelope is
 * halved until one record stands alone, and this record goes to the other providers. A record that none of
 * the stream's providers takes is given up, alone, and its gap says why (I3). A record that exceeds a
 * provider's size limit is not uploaded there.
 *
 * Size is a fact. Any other refusal may be a fault of the provider, which then refuses everything. So a
 * record counts as refused only where the provider has accepted another record of the stream since the
 * refusals began: one acceptance for each record given up.
 *
 * A provider that can only end the connection (MQTT) does not say that it refuses: cut-rows.ts tells this
 * from an outage. Rows that were cut rest until the provider has had time to accept a probe.
 *
 * A large record that misses its deadline looks like an outage too: slow-rows.ts gives it more time, and
 * nothing else is sent there meanwhile.
 */
import type { Clock } from '../../shared/clock.ts';
import type { Envelope } from '../../shared/envelope/envelope.ts';
import { errorText, type Logger } from '../../shared/log.ts';
import type { SeqRange } from '../../shared/record.ts';
import type { Outcome } from '../providers/publisher.ts';
import type { LiveRouting } from '../routing/live-routing.ts';
import type { Buffer } from './buffer.ts';
import { type Sender, senderOf, type TryRules, type Upload } from './delivery/sender.ts';
import type { Settlements } from './queue/settlements.ts';
import type { Stream } from './queue/stream.ts';
import type { Run, StreamQueue } from './queue/stream-queue.ts';

/** A provider that refused a record and has accepted no other since is tried again after this time. */
const AGAIN_MS = 60_000;
/** A probe follows a failure after a second (agent/routing/SPEC.md); its answer takes a moment. */
const REST_AFTER_CUT_MS = 1300;

export interface RefusalsOptions {
  store: Pick<Buffer, 'giveUp'>;
  settlements: Settlements;
  routing: Pick<LiveRouting, 'possible' | 'limitOf' | 'isLarge'>;
  senders: ReadonlyMap<string, Sender>;
  clock: Clock;
  log: Logger;
}

export class Refusals {
  readonly #options: RefusalsOptions;
  /** Accepted envelopes with records by stream and provider, and their number when the refusals began. */
  readonly #accepted = new Map<string, number>();
  readonly #since = new Map<string, number>();
  /** Refusals that no provider told: cuts. */
  readonly #ascribed = new WeakSet<Outcome>();

  constructor(options: RefusalsOptions) {
    this.#options = options;
  }

  /** Gives up rows that no provider takes; false while a provider may still take them. */
  settle(stream: Stream, queue: StreamQueue, { first, last, acceptedBy, unfit }: Run): boolean {
    if (!unfit) return false;
    const { store, settlements, routing, clock, log } = this.#options;
    const possible = routing.possible(stream.name);
    const isHopeless = possible.every((provider) => acceptedBy.has(provider) || unfit.has(provider));
    if (possible.length === 0 || !isHopeless) return false;
    const range = { first, last };
    const reason = queue.refusedFor(first);
    const copies = acceptedBy.size;
    const where = { stream: stream.name, epoch: queue.epoch, ...range, reason };
    if (copies > 0) {
      log.error({ event: 'forward.fewer_copies', ...where, copies, refusedBy: [...unfit] });
      stream.fewerCopies += last - first + 1;
      settlements.enough(stream, queue, range, acceptedBy);
      return true;
    }
    queue.reserve(first, last);
    store
      .giveUp(queue.epoch, stream.name, first, last, reason)
      .then(
        () => log.error({ event: 'forward.given_up', ...where, refusedBy: [...unfit] }),
        (error: unknown) => {
          stream.pause(clock.monoMs());
          log.error({ event: 'forward.give_up_failed', ...where, error: errorText(error) });
        },
      )
      .finally(() => queue.release(first, last));
    return true;
  }

  /**
   * Whether the envelope of one record exceeds the limit of a provider that the stream may use. The row is
   * then unfit for all such providers.
   */
  isTooLarge(
    stream: Stream,
    queue: StreamQueue,
    { unfit }: Pick<Run, 'unfit'>,
    { records }: Envelope,
    bytes: number,
  ): boolean {
    const [record, ...others] = records;
    if (!record || others.length > 0) return false;
    const { routing, senders } = this.#options;
    const small = routing.possible(stream.name).filter((provider) => {
      const most = senders.get(provider)?.maxEnvelopeBytes ?? bytes;
      return most < bytes && !unfit?.has(provider);
    });
    for (const provider of small) queue.unfit(provider, record.seq, 'too-large');
    return small.length > 0;
  }

  /** Whether the run is to be sent with nothing else under way. */
  isSuspect({ cuts, slow }: StreamQueue, run: Run): boolean {
    return cuts.isSuspect(run) || slow.isSlow(run.first);
  }

  /** The run, that waits for providers that have accepted nothing since it missed their deadline. */
  afterMisses(queue: StreamQueue, run: Run): Run {
    const { senders } = this.#options;
    const unproven = queue.slow.unproven(run.first, (name) => senderOf(senders, name).counters.accepted);
    return unproven.size === 0 ? run : { ...run, avoid: unproven.union(run.avoid ?? new Set()) };
  }

  /** The rules of a try of the envelope at the provider. */
  rules(stream: Stream, queue: StreamQueue, envelope: Envelope, provider: string, bytes: number): TryRules {
    return {
      verdict: (outcome) => this.#verdict(queue, envelope, provider, outcome, bytes),
      upload: this.#upload(stream, queue, envelope, provider, bytes),
    };
  }

  /** Null for an envelope that can be halved, and for one of a live envelope's size. */
  #upload(
    stream: Stream,
    queue: StreamQueue,
    { records }: Envelope,
    provider: string,
    bytes: number,
  ): Upload | null {
    const { routing, senders, log } = this.#options;
    const [record, ...others] = records;
    if (!record || others.length > 0 || !routing.isLarge(bytes)) return null;
    const { counters } = senderOf(senders, provider);
    const { seq } = record;
    const missedMs = queue.slow.lastGivenMs(provider, seq);
    return {
      missedMs,
      onMissed(givenMs) {
        queue.slow.missed(provider, seq, givenMs, counters.accepted);
        // From now on it stands alone.
        queue.halve({ first: seq, last: seq });
        if (missedMs === null || givenMs > missedMs) return;
        queue.unfit(provider, seq, 'too-large');
        const where = { provider, stream: stream.name, epoch: queue.epoch, seq };
        log.error({ event: 'forward.too_slow', ...where, bytes, givenMs: Math.round(givenMs) });
      },
    };
  }

  /** The outcome of a try at the provider: a cut that is the records' fault is a refusal of the envelope. */
  #verdict(
    queue: StreamQueue,
    envelope: Envelope,
    provider: string,
    outcome: Outcome,
    bytes: number,
  ): Outcome {
    const rows = rowsOf(envelope);
    if (outcome.kind !== 'unknown' || outcome.cause !== 'connection-lost' || !rows) return outcome;
    const { routing, clock } = this.#options;
    if (routing.limitOf(provider) !== null) {
      queue.cuts.acquit(provider);
      return outcome;
    }
    const { size, counters } = senderOf(this.#options.senders, provider);
    const isBySize = size.cut(bytes, counters.accepted, clock.monoMs());
    if (!queue.cuts.cut(provider, rows, counters.accepted, isBySize)) return outcome;
    const detail = `${outcome.detail}: the connection ends with these records, others are accepted`;
    const refused: Outcome = { kind: 'rejected', scope: 'envelope', cause: 'invalid', detail };
    this.#ascribed.add(refused);
    return refused;
  }

  /** A try of an envelope of this size ended at the provider. */
  saw(
    stream: Stream,
    queue: StreamQueue,
    envelope: Envelope,
    provider: string,
    outcome: Outcome,
    bytes: number,
  ): void {
    const key = `${stream.name}/${provider}`;
    const rows = rowsOf(envelope);
    if (outcome.kind === 'accepted' && rows) this.#accepted.set(key, (this.#accepted.get(key) ?? 0) + 1);
    if (outcome.kind === 'unknown' && outcome.cause === 'connection-lost' && rows) {
      queue.doubt(provider, rows, this.#options.clock.monoMs() + REST_AFTER_CUT_MS);
    }
    if (outcome.kind !== 'rejected' || outcome.scope !== 'envelope') return;
    if (envelope.gaps.length > 0 || envelope.sealedAt !== null) queue.gapsAlone = true;
    if (!rows) return;
    // Its size is above the learned limit now, and is not uploaded there again.
    const isOneTooLarge = rows.first === rows.last && outcome.cause === 'too-large';
    if (isOneTooLarge && senderOf(this.#options.senders, provider).size.maxBytes < bytes) return;
    const isCut = this.#ascribed.has(outcome);
    const accepted = this.#accepted.get(key) ?? 0;
    const since = this.#since.get(key) ?? accepted;
    this.#since.set(key, since);
    if (rows.first !== rows.last) queue.halve(rows);
    else if (isCut ? queue.cuts.isHopeless(provider, rows.first) : accepted > since) {
      this.#since.set(key, accepted);
      queue.unfit(provider, rows.first, isCut && this.#isTooLong(provider, bytes) ? 'too-large' : 'rejected');
    } else queue.doubt(provider, rows, this.#options.clock.monoMs() + AGAIN_MS);
  }

  /** The record that the provider cuts is larger than all that it has accepted: the size is the reason. */
  #isTooLong(provider: string, bytes: number): boolean {
    const { size } = senderOf(this.#options.senders, provider);
    if (!size.isLargest(bytes)) return false;
    size.refused(bytes);
    return true;
  }
}

function rowsOf({ records }: Envelope): SeqRange | null {
  const [first, last] = [records[0]?.seq, records.at(-1)?.seq];
  return first === undefined || last === undefined ? null : { first, last };
}
