/**
 * Hostile envelopes through every source of a real router, valid ones between them. At the end the ledger
 * holds exactly what was valid (I5), each hostile message is a dead letter with its reason, and the router
 * stops as it should (I9).
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Outcome } from '../../../agent/providers/publisher.ts';
import type { Ledger } from '../../../router/ledger/ledger.ts';
import { openLedger } from '../../../router/ledger/open.ts';
import { systemClock as clock } from '../../../shared/clock.ts';
import { seededEntropy } from '../../../shared/entropy.ts';
import { encodeEnvelope, envelopeProperties } from '../../../shared/envelope/codec.ts';
import type { Envelope } from '../../../shared/envelope/envelope.ts';
import { createLogger } from '../../../shared/log.ts';
import { attempt } from '../../attempt.ts';
import { type EngineName, startServers } from '../../crash-router/engines.ts';
import { envelope, seqs } from '../../router/ledger/envelopes.ts';
import { Fields } from '../packets.ts';
import { isFinal, isTooLarge, wrongAnswer } from './answers.ts';
import { compareRecords, FORGED } from './compare.ts';
import { FORGERIES, forgery, type Hostile, hostile, KINDS, noise, UNPROVEN, unproven } from './hostile.ts';
import { createWorld, type Way, type World } from './world.ts';

const PUBLISHES_AT_ONCE = 6;
const DEADLINE_MS = 20_000;
const TRIES_MAX = 10;
const VALID_SHARE = 0.2;
const REPLAYED_SHARE = 0.1;
/** Of those where the gateway signs and others need not: an id that somebody else has too. */
const RACED_SHARE = 0.1;
/** Of the hostile ones through a source where the gateway signs. */
const FORGED_SHARE = 0.5;
/** Of those through a source where it does not. */
const UNPROVEN_SHARE = 0.1;
const RECORDS_MAX = 20;
/** Of so many envelopes of a source, one is as large as it takes, and one larger: up to 16 MiB each. */
const LARGE_EVERY = 250;
const LARGEST_AT = 10;
const TOO_LARGE_AT = 20;
/** Valid envelopes of one source on their way: more would only measure a queue. */
const ON_THEIR_WAY_MAX = 8;
/**
 * A valid envelope that takes longer from its cloud's acknowledgement to the ledger was held up by the
 * others. A message whose receipt was lost on its way is given out again by SQS only after the visibility
 * timeout, a minute.
 */
const VALID_MS_MAX = 90_000;
/** After this long without a valid record arriving, the router counts as stalled. */
const STALL_MS = 60_000;
const PROBLEMS_MAX = 20;

export interface IngestFuzzOptions {
  seed: number;
  envelopes: number;
  /** Default: the embedded one. Others need their servers' Debian packages. */
  engine?: EngineName | undefined;
}

export interface IngestFuzzResult {
  /** Sent, by source and kind; `valid`, `replayed` and `raced` among the kinds. */
  sent: Record<string, Record<string, number>>;
  /** Dead letters, by reason. */
  reasons: Record<string, number>;
  /** Dead letters, by source: more than were sent where a provider delivered again. */
  letters: Record<string, number>;
  records: number;
  /**
   * From the acknowledgement of a valid envelope by its cloud to its records in the ledger, at the worst, by
   * source.
   */
  validMsMax: Record<string, number>;
  problems: string[];
}

interface Sent {
  source: string;
  stream: string;
  lastSeq: number;
  bytes: Uint8Array;
}

export async function fuzzIngest(
  options: IngestFuzzOptions,
  say: (line: string) => void,
): Promise<IngestFuzzResult> {
  const dir = mkdtempSync(join(tmpdir(), 'headgate-fuzz-ingest-'));
  const servers = options.engine && (await startServers(options.engine));
  try {
    const world = await createWorld(dir, servers?.ledgerSection);
    try {
      return await new Run(options, world).toItsEnd(say);
    } finally {
      await world.stop();
    }
  } finally {
    await servers?.remove();
    rmSync(dir, { recursive: true });
  }
}

class Run {
  readonly #options: IngestFuzzOptions;
  readonly #world: World;
  readonly #result: IngestFuzzResult = {
    sent: {},
    reasons: {},
    letters: {},
    records: 0,
    validMsMax: {},
    problems: [],
  };
  /** Hostile messages by source and bytes. */
  readonly #hostile = new Map<string, Hostile>();
  /** What the router's own endpoint said of them, by the same name. */
  readonly #answers = new Map<string, Outcome>();
  /** Valid records: stream/seq and payload. */
  readonly #valid = new Set<string>();
  /** Forged records under the ids of valid ones. */
  #raced = 0;
  /** Messages that reached a source's cloud or the router, by source: at least so many are received. */
  readonly #taken = new Map<string, number>();
  readonly #awaited = new Set<{ source: string; stream: string; lastSeq: number; ackedMs: number }>();
  #number = 0;

  constructor(options: IngestFuzzOptions, world: World) {
    this.#options = options;
    this.#world = world;
  }

  async toItsEnd(say: (line: string) => void): Promise<IngestFuzzResult> {
    const over = new AbortController();
    const watched = this.#watch(over.signal, say);
    await Promise.all(this.#world.ways.map((way) => this.#feed(way)));
    say('all sent');
    await this.#settled();
    over.abort();
    await watched;
    for (const [source, lateMs] of Object.entries(this.#result.validMsMax)) {
      if (lateMs > VALID_MS_MAX)
        this.#problem(`a valid envelope through ${source} arrived ${lateMs} ms late`);
    }
    const how = await this.#world.stopRouter();
    if (how !== 'exit code 0') this.#problem(`the router ended: ${how}`);
    for (const line of this.#world.complaints) this.#problem(`the router said: ${line.trim()}`);
    const log = createLogger({ level: 'silent', levels: {} });
    const ledger = await openLedger(this.#world.config, { clock, log, role: 'router' });
    const expected = { valid: this.#valid, raced: this.#raced };
    const problem = (text: string): void => this.#problem(text);
    this.#result.records = await compareRecords(ledger, expected, problem);
    await this.#compareDeadLetters(ledger);
    await ledger.close();
    return this.#result;
  }

  /** All that one source brings, some at a time. */
  async #feed(way: Way): Promise<void> {
    const { source } = way;
    const perSource = Math.ceil(this.#options.envelopes / this.#world.ways.length);
    const recent: Sent[] = [];
    let made = 0;
    let nextSeq = 1;
    const one = async (): Promise<void> => {
      while (made < perSource) {
        if (this.#onTheirWay(source) >= ON_THEIR_WAY_MAX) {
          await clock.sleep(20);
          continue;
        }
        made += 1;
        this.#number += 1;
        const fields = new Fields(seededEntropy((this.#options.seed + this.#number * 7919) >>> 0));
        const place = made % LARGE_EVERY;
        if (place === LARGEST_AT || place === TOO_LARGE_AT) {
          await this.#sendLarge(way, place === LARGEST_AT ? 'largest' : 'too large', fields);
          continue;
        }
        const share = fields.chance(VALID_SHARE)
          ? 'valid'
          : fields.chance(REPLAYED_SHARE)
            ? 'replayed'
            : 'hostile';
        const earlier = recent[fields.below(recent.length)];
        if (share === 'valid' || (share === 'replayed' && !earlier)) {
          const first = nextSeq;
          nextSeq += 1 + fields.below(RECORDS_MAX);
          const sent = this.#makeValid(source, seqs(first, nextSeq - 1));
          this.#count(source, 'valid');
          await this.#publishValid(way, sent.bytes);
          this.#awaited.add({ source, stream: sent.stream, lastSeq: sent.lastSeq, ackedMs: clock.monoMs() });
          recent.push(sent);
          if (recent.length > 50) recent.shift();
        } else if (share === 'replayed' && earlier) {
          this.#count(source, 'replayed');
          await this.#publishValid(way, earlier.bytes);
        } else if (way.signs && !way.isSigned && fields.chance(RACED_SHARE)) {
          await this.#race(way, fields);
        } else {
          await this.#sendHostile(way, fields, earlier?.stream ?? null);
        }
      }
    };
    await Promise.all(Array.from({ length: PUBLISHES_AT_ONCE }, one));
  }

  #makeValid(source: string, ids: number[]): Sent {
    const stream = `good-${source}`;
    const sent = envelope({ stream, seqs: ids });
    for (const { seq, payload } of sent.records) this.#valid.add(`${stream}/${seq}=${Buffer.from(payload)}`);
    return { source, stream, lastSeq: ids.at(-1) ?? 0, bytes: this.#encode(source, sent) };
  }

  /** A stream's records come twice at once: signed, and forged through a source that accepts any. */
  async #race(way: Way, fields: Fields): Promise<void> {
    const stream = `raced-${this.#number}`;
    const ids = seqs(1, 1 + fields.below(RECORDS_MAX));
    const genuine = envelope({ stream, seqs: ids });
    const other = this.#world.ways.find(({ signs }) => !signs) ?? way;
    const forged = encodeEnvelope(envelope({ stream, seqs: ids, text: FORGED }));
    for (const { seq, payload } of genuine.records)
      this.#valid.add(`${stream}/${seq}=${Buffer.from(payload)}`);
    this.#raced += ids.length;
    this.#count(way.source, 'raced');
    const both = [
      () => this.#publishValid(other, forged),
      () => this.#publishValid(way, this.#encode(way.source, genuine)),
    ];
    await Promise.all((fields.chance(0.5) ? both : both.toReversed()).map((send) => send()));
  }

  /** `signedStream`: a stream of the way's that is in the ledger already, or before this one in its queue. */
  async #sendHostile(way: Way, fields: Fields, signedStream: string | null): Promise<void> {
    // Pub/Sub does not name the publisher: there, an envelope of another gateway counts as valid.
    const kinds = way.source === 'gcp' ? KINDS.filter((kind) => kind !== 'foreign') : KINDS;
    const kind = kinds[fields.below(kinds.length)] ?? 'noise';
    const seed = fields.below(2 ** 31);
    const canForge = way.isSigned || (way.signs && signedStream !== null);
    if (canForge && fields.chance(FORGED_SHARE)) {
      const forged = FORGERIES[fields.below(FORGERIES.length)] ?? 'forged';
      const stream = way.isSigned ? null : signedStream;
      return this.#publishHostile(way, forgery(forged, seed, this.#world.keys, stream));
    }
    if (!way.isSigned && fields.chance(UNPROVEN_SHARE))
      return this.#publishHostile(way, unproven(fields.pick(UNPROVEN), seed));
    const encode = (one: Envelope) => this.#encode(way.source, one);
    await this.#publishHostile(way, hostile(kind, seed, encode, way));
  }

  /** As the gateway sends it through this source. */
  #encode(source: string, one: Envelope): Uint8Array {
    const signs = this.#world.ways.some((way) => way.source === source && way.signs);
    return encodeEnvelope(one, signs ? this.#world.keys.own : null);
  }

  /**
   * As large as the way takes, which is read and is no envelope; or a byte more, which the way or the router
   * refuses.
   */
  async #sendLarge(way: Way, kind: 'largest' | 'too large', fields: Fields): Promise<void> {
    const { source, bytesMax, refusesLarger, isSigned } = way;
    const one = noise(kind, kind === 'largest' ? bytesMax : bytesMax + 1, fields.below(2 ** 31), isSigned);
    if (kind === 'largest' || !refusesLarger) return this.#publishHostile(way, one);
    this.#count(source, kind);
    const outcome = await this.#publish(way, one.bytes);
    if (!isTooLarge(outcome)) this.#problem(`${kind} through ${source} is ${JSON.stringify(outcome)}`);
  }

  async #publishHostile(way: Way, one: Hostile): Promise<void> {
    const { source, judges } = way;
    const name = nameOf(source, one.bytes);
    this.#hostile.set(name, one);
    this.#count(source, one.kind);
    const outcome = await this.#publish(way, one.bytes);
    if (judges) this.#answers.set(name, outcome);
    else if (outcome.kind !== 'accepted') this.#notTaken(source, outcome);
  }

  async #publishValid(way: Way, bytes: Uint8Array): Promise<void> {
    const outcome = await this.#publish(way, bytes);
    if (outcome.kind !== 'accepted') this.#notTaken(way.source, outcome);
  }

  /** Publishes the bytes; returns their final outcome. */
  async #publish({ publisher, source }: Way, bytes: Uint8Array): Promise<Outcome> {
    const properties = envelopeProperties(envelope({ seqs: [1] }));
    const message = { gateway: 'gw-1', stream: 'fuzz', bytes, properties };
    for (let tries = 1; ; tries += 1) {
      const outcome = await publisher.publish(message, attempt(DEADLINE_MS));
      if (isFinal(outcome) || tries === TRIES_MAX) {
        if (outcome.kind === 'accepted') this.#taken.set(source, (this.#taken.get(source) ?? 0) + 1);
        return outcome;
      }
      await clock.sleep(200);
    }
  }

  #notTaken(source: string, outcome: Outcome): void {
    this.#problem(`${source} took no message: ${JSON.stringify(outcome)}`);
  }

  #onTheirWay(source: string): number {
    return [...this.#awaited].filter((awaited) => awaited.source === source).length;
  }

  /** Valid traffic arrives while the hostile comes. */
  async #watch(over: AbortSignal, say: (line: string) => void): Promise<void> {
    let movedMs = clock.monoMs();
    let saidMs = movedMs;
    while (!over.aborted) {
      await clock.sleep(100, over);
      const before = this.#awaited.size;
      await this.#look();
      const now = clock.monoMs();
      if (before === 0 || this.#awaited.size < before) movedMs = now;
      if (now - movedMs > STALL_MS) {
        this.#problem(`nothing valid arrived for ${STALL_MS} ms; ${this.#awaited.size} envelopes wait`);
        movedMs = now;
      }
      if (now - saidMs < 10_000) continue;
      saidMs = now;
      say(`${this.#number} sent, ${this.#awaited.size} valid ones on their way`);
    }
  }

  async #look(): Promise<void> {
    try {
      const { gateways } = await this.#world.status();
      const streams = gateways.flatMap((gateway) => gateway.streams);
      const completeTo = new Map(streams.map((stream) => [stream.stream, stream]));
      const now = clock.monoMs();
      for (const awaited of this.#awaited) {
        const held = completeTo.get(awaited.stream);
        const missing = held?.missing.some(({ first }) => first <= awaited.lastSeq) ?? true;
        if (missing || (held?.highest ?? 0) < awaited.lastSeq) continue;
        this.#awaited.delete(awaited);
        const { validMsMax } = this.#result;
        const { source } = awaited;
        validMsMax[source] = Math.max(validMsMax[source] ?? 0, Math.round(now - awaited.ackedMs));
      }
    } catch (error) {
      this.#problem(`the router does not answer: ${String(error)}`);
    }
  }

  /** Waits until the router has no work left, or makes no progress; the comparison decides. */
  async #settled(): Promise<void> {
    let settledBefore = -1;
    for (let movedMs = clock.monoMs(); clock.monoMs() - movedMs < STALL_MS; ) {
      const { ledger, sources } = await this.#world.status();
      const settled = sources.reduce((sum, source) => sum + source.settled, 0);
      const isRead = sources.every(
        ({ name, received, settled }) => received === settled && received >= (this.#taken.get(name) ?? 0),
      );
      const isToldOf = this.#world.unsettled() === 0 && (ledger?.deadLetters ?? 0) >= this.#hostile.size;
      if (this.#awaited.size === 0 && isRead && isToldOf) return;
      if (settled !== settledBefore) movedMs = clock.monoMs();
      settledBefore = settled;
      await clock.sleep(100);
    }
  }

  async #compareDeadLetters(ledger: Ledger): Promise<void> {
    const missing = new Map(this.#hostile);
    const { maintenance } = ledger;
    const heads = await maintenance.deadLetterHeads({}, Number.MAX_SAFE_INTEGER);
    for (const { id, source, reason } of heads) {
      const letter = await maintenance.loadDeadLetter(id);
      const name = nameOf(source, letter?.bytes ?? Buffer.of());
      const expected = this.#hostile.get(name);
      missing.delete(name);
      this.#result.letters[source] = (this.#result.letters[source] ?? 0) + 1;
      this.#result.reasons[reason] = (this.#result.reasons[reason] ?? 0) + 1;
      if (!expected) this.#problem(`a dead letter that was not hostile: ${source} ${reason}`);
      else if (!expected.reasons.includes(reason))
        this.#problem(`${expected.kind} through ${source} is ${reason}`);
      const judges = this.#world.ways.some((way) => way.source === source && way.judges);
      const wrong = judges ? wrongAnswer(this.#answers.get(name), reason) : null;
      if (wrong !== null) this.#problem(wrong);
    }
    for (const [name, { kind }] of missing) this.#problem(`no dead letter for ${kind} (${name})`);
  }

  #count(source: string, kind: string): void {
    const counts = this.#result.sent[source] ?? {};
    this.#result.sent[source] = counts;
    counts[kind] = (counts[kind] ?? 0) + 1;
  }

  #problem(problem: string): void {
    if (this.#result.problems.length < PROBLEMS_MAX) this.#result.problems.push(problem);
  }
}

function nameOf(source: string, bytes: Uint8Array): string {
  return `${source} ${createHash('sha256').update(bytes).digest('hex')}`;
}
