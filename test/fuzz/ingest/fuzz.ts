/**
 * Hostile envelopes through every source of a real router, valid ones between them. At the end the ledger
 * holds exactly what was valid (I5), each hostile message is a dead letter with its reason, and the router
 * stops as it should (I9).
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import type { Outcome } from '../../../agent/providers/publisher.ts';
import type { Ledger } from '../../../router/ledger/ledger.ts';
import { openLedger } from '../../../router/ledger/open.ts';
import { systemClock as clock } from '../../../shared/clock.ts';
import { seededEntropy } from '../../../shared/entropy.ts';
import { encodeEnvelope, envelopeProperties } from '../../../shared/envelope/codec.ts';
import type { Envelope } from '../../../shared/envelope/envelope.ts';
import { createLogger } from '../../../shared/log.ts';
import { attempt } from '../../attempt.ts';
import { headgate } from '../../cli/run.ts';
import { type EngineName, startServers } from '../../crash-router/engines.ts';
import { envelope, seqs } from '../../router/ledger/envelopes.ts';
import { until } from '../../until.ts';
import { Fields } from '../packets.ts';
import { isFinal, isTooLarge } from './answers.ts';
import { Arrivals, STALL_MS } from './arrivals.ts';
import { compareRecords, FORGED } from './compare.ts';
import { forgery, hostile, noise, unproven } from './hostile.ts';
import type { Hostile } from './kinds.ts';
import { compareDeadLetters, type Letters, nameOf } from './letters.ts';
import { type Lot, Lots } from './lots.ts';
import { sealedHostile, withdrawn, withdrawnStream } from './sealed.ts';
import { ValidEnvelopes } from './valid.ts';
import { createWorld, type Way, type World } from './world.ts';

const PUBLISHES_AT_ONCE = 6;
const DEADLINE_MS = 20_000;
const TRIES_MAX = 10;
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
const PROBLEMS_MAX = 20;

const retried = z.object({ committed: z.number(), refused: z.number(), failed: z.number() });

export interface IngestFuzzOptions {
  seed: number;
  envelopes: number;
  /** Default: the embedded one. Others need their servers' Debian packages. */
  engine?: EngineName | undefined;
}

export interface IngestFuzzResult {
  /** Sent, by source and kind; `valid`, `sealed`, `replayed`, `elsewhere` and `raced` among the kinds. */
  sent: Record<string, Record<string, number>>;
  /** Dead letters, by reason. */
  reasons: Record<string, number>;
  /** Dead letters, by source: more than were sent where a provider delivered again. */
  letters: Record<string, number>;
  /** Letters that were taken after the key that they were sealed to had come back. */
  retried: number;
  records: number;
  /**
   * From the acknowledgement of a valid envelope by its cloud to its records in the ledger, at the worst, by
   * source.
   */
  validMsMax: Record<string, number>;
  problems: string[];
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
    retried: 0,
    records: 0,
    validMsMax: {},
    problems: [],
  };
  /** Hostile messages by source and bytes. */
  readonly #hostile = new Map<string, Hostile>();
  /** The answers of the router's own endpoint, by the same name. */
  readonly #answers = new Map<string, Outcome>();
  readonly #valid: ValidEnvelopes;
  /** Forged records under the ids of valid ones. */
  #raced = 0;
  /** Messages that reached a source's cloud or the router, by source: at least so many are received. */
  readonly #taken = new Map<string, number>();
  readonly #arrivals: Arrivals;
  #number = 0;

  constructor(options: IngestFuzzOptions, world: World) {
    this.#options = options;
    this.#world = world;
    this.#valid = new ValidEnvelopes(world);
    this.#arrivals = new Arrivals(world, (text) => this.#problem(text));
  }

  async toItsEnd(say: (line: string) => void): Promise<IngestFuzzResult> {
    const over = new AbortController();
    const watched = this.#arrivals.watch(over.signal, () => this.#number, say);
    await this.#withdrawKey();
    await Promise.all(this.#world.ways.map((way, i) => this.#feed(way, i)));
    say('all sent');
    await this.#settled();
    over.abort();
    await watched;
    this.#result.validMsMax = this.#arrivals.validMsMax;
    for (const [source, lateMs] of Object.entries(this.#result.validMsMax)) {
      if (lateMs > VALID_MS_MAX)
        this.#problem(`a valid envelope through ${source} arrived ${lateMs} ms late`);
    }
    const how = await this.#world.stopRouter();
    if (how !== 'exit code 0') this.#problem(`the router ended: ${how}`);
    for (const line of this.#world.complaints) this.#problem(`the router said: ${line.trim()}`);
    const { sealed, ...letters } = await this.#compare(async (ledger) => {
      const sent = { ways: this.#world.ways, hostile: this.#hostile, answers: this.#answers };
      return compareDeadLetters(ledger, sent, (text) => this.#problem(text));
    });
    Object.assign(this.#result, letters);
    await this.#retry(sealed);
    return this.#result;
  }

  /** The records of the ledger, and what `more` finds in it. */
  async #compare<Found>(more: (ledger: Ledger) => Promise<Found>): Promise<Found> {
    const log = createLogger({ level: 'silent', levels: {} });
    const ledger = await openLedger(this.#world.config, { clock, log, role: 'router' });
    const expected = { valid: this.#valid.records, raced: this.#raced };
    this.#result.records = await compareRecords(ledger, expected, (text) => this.#problem(text));
    const found = await more(ledger);
    await ledger.close();
    return found;
  }

  /** Genuine envelopes, sealed to a key that the router removed then: taken before, refused after. */
  async #withdrawKey(): Promise<void> {
    const { ways, keys, seals } = this.#world;
    const sent = ways.map((way) => {
      const stream = withdrawnStream(way.source);
      return { way, stream, one: withdrawn(envelope({ stream, seqs: [1] }), seals, keys) };
    });
    for (const { way, stream, one } of sent) {
      this.#valid.takeGenuine([one]);
      this.#count(way.source, 'before');
      await this.#publishValid(way, one.bytes);
      this.#arrivals.await({ source: way.source, stream, lastSeq: 1 });
    }
    await until('they are in the ledger', () => this.#arrivals.size === 0);
    await this.#world.withdrawKey();
    for (const { way, one } of sent) await this.#publishHostile(way, one);
  }

  /** With the key back, those are taken, and no others. */
  async #retry({ genuine, unknown }: Letters['sealed']): Promise<void> {
    await this.#world.restoreKey();
    const words = [
      'deadletter',
      'retry',
      '--reason',
      'seal-key',
      '--json',
      '--config',
      this.#world.configFile,
    ];
    const { stdout, stderr } = await headgate(words);
    const read = retried.safeParse(JSON.parse(stdout.trim() || 'null'));
    const { committed, refused } = read.data ?? {};
    if (committed !== genuine || refused !== unknown)
      this.#problem(`retried ${genuine} with their key and ${unknown} without: ${stdout}${stderr}`);
    this.#result.retried = committed ?? 0;
    this.#valid.takeGenuine(this.#hostile.values());
    await this.#compare(() => Promise.resolve());
  }

  /** All that one source brings, some at a time. */
  async #feed(way: Way, place: number): Promise<void> {
    const { source } = way;
    const { seed, envelopes } = this.#options;
    const perSource = Math.ceil(envelopes / this.#world.ways.length);
    const lots = new Lots(way, new Fields(seededEntropy((seed + place * 104_729) >>> 0)));
    let made = 0;
    const one = async (): Promise<void> => {
      while (made < perSource) {
        if (this.#arrivals.of(source) >= ON_THEIR_WAY_MAX) {
          await clock.sleep(20);
          continue;
        }
        made += 1;
        await this.#sendOne(way, lots, made % LARGE_EVERY);
      }
    };
    // The first ones, of which others are made.
    for (const share of ['valid', 'sealed'] as const) await this.#send(way, { share }, this.#nextFields());
    await Promise.all(Array.from({ length: PUBLISHES_AT_ONCE }, one));
  }

  #sendOne(way: Way, lots: Lots, place: number): Promise<void> {
    const fields = this.#nextFields();
    if (place === LARGEST_AT) return this.#sendLarge(way, 'largest', fields);
    if (place === TOO_LARGE_AT) return this.#sendLarge(way, 'too large', fields);
    return this.#send(way, lots.next(), fields);
  }

  #nextFields(): Fields {
    this.#number += 1;
    return new Fields(seededEntropy((this.#options.seed + this.#number * 7919) >>> 0));
  }

  async #send(way: Way, lot: Lot, fields: Fields): Promise<void> {
    const { source, isSigned } = way;
    const { keys, seals } = this.#world;
    const seed = fields.below(2 ** 31);
    switch (lot.share) {
      case 'valid':
      case 'sealed':
        return this.#sendValid(way, fields, lot.share);
      case 'replayed':
      case 'elsewhere':
        return this.#sendAgain(way, fields, lot.share);
      case 'raced':
        return this.#race(way, fields);
      case 'hostile': {
        const encode = (one: Envelope) => this.#valid.encode(way, one);
        return this.#publishHostile(way, hostile(lot.kind, seed, encode, way));
      }
      case 'forged': {
        const stream = isSigned ? null : this.#valid.clearStream(way);
        return this.#publishHostile(way, forgery(lot.kind, seed, keys, stream));
      }
      case 'unproven':
        return this.#publishHostile(way, unproven(lot.kind, seed));
      case 'sealed-hostile':
        return this.#publishHostile(way, sealedHostile(lot.kind, seed, { source, isSigned, keys, seals }));
    }
  }

  async #sendValid(way: Way, fields: Fields, kind: 'valid' | 'sealed'): Promise<void> {
    const { source } = way;
    const sent = this.#valid.next(way, fields, kind === 'sealed');
    this.#count(source, kind);
    await this.#publishValid(way, sent.bytes);
    this.#arrivals.await({ source, stream: sent.stream, lastSeq: sent.lastSeq });
    this.#valid.acknowledged(way, sent);
  }

  async #sendAgain(way: Way, fields: Fields, kind: 'replayed' | 'elsewhere'): Promise<void> {
    const again = this.#valid.again(way, fields, kind);
    if (again === null) return;
    this.#count(way.source, kind);
    await this.#publishValid(way, again.bytes);
  }

  /** A stream's records come twice at once: signed, and forged through a source that accepts any. */
  async #race(way: Way, fields: Fields): Promise<void> {
    const stream = `raced-${this.#number}`;
    const ids = seqs(1, 1 + fields.below(RECORDS_MAX));
    const genuine = envelope({ stream, seqs: ids });
    const other = this.#world.ways.find(({ signs }) => !signs) ?? way;
    const forged = encodeEnvelope(envelope({ stream, seqs: ids, text: FORGED }));
    this.#valid.take(genuine);
    this.#raced += ids.length;
    this.#count(way.source, 'raced');
    const both = [
      () => this.#publishValid(other, forged),
      () => this.#publishValid(way, this.#valid.encode(way, genuine)),
    ];
    await Promise.all((fields.chance(0.5) ? both : both.toReversed()).map((send) => send()));
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
      if (this.#arrivals.size === 0 && isRead && isToldOf) return;
      if (settled !== settledBefore) movedMs = clock.monoMs();
      settledBefore = settled;
      await clock.sleep(100);
    }
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
