/**
 * Hostile envelopes through every source of a real router, valid ones between them. At the end the ledger holds exactly what
 * was valid (I5), each hostile message is a dead letter with its reason, and the router stops as it should (I9).
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Publisher } from '../../../agent/cloud/publisher.ts';
import type { Ledger } from '../../../router/ledger/ledger.ts';
import { openLedger } from '../../../router/ledger/open.ts';
import { systemClock as clock } from '../../../shared/clock.ts';
import { seededEntropy } from '../../../shared/entropy.ts';
import { encodeEnvelope, envelopeProperties } from '../../../shared/envelope/codec.ts';
import { createLogger } from '../../../shared/log.ts';
import { type EngineName, startServers } from '../../crash-router/engines.ts';
import { envelope, seqs } from '../../router/ledger/envelopes.ts';
import { Fields } from '../packets.ts';
import { type Hostile, hostile, KINDS } from './hostile.ts';
import { createWorld, type World } from './world.ts';

const PUBLISHES_AT_ONCE = 6;
const DEADLINE_MS = 20_000;
const TRIES_MAX = 10;
const VALID_SHARE = 0.2;
const REPLAYED_SHARE = 0.1;
const RECORDS_MAX = 20;
/** Valid envelopes of one source on their way: more would only measure a queue. */
const ON_THEIR_WAY_MAX = 8;
/**
 * A valid envelope that takes longer from its cloud's acknowledgement to the ledger was held up by the others. A message whose
 * receipt was lost on its way is given out again by SQS only after the visibility timeout, a minute.
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
  /** Sent, by source and kind; `valid` and `replayed` among the kinds. */
  sent: Record<string, Record<string, number>>;
  /** Dead letters, by reason. */
  reasons: Record<string, number>;
  /** Dead letters, by source: more than were sent where a provider delivered again. */
  letters: Record<string, number>;
  records: number;
  /** From the acknowledgement of a valid envelope by its cloud to its records in the ledger, at the worst, by source. */
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
  /** Valid records: stream/seq and payload. */
  readonly #valid = new Set<string>();
  readonly #awaited = new Set<{ source: string; stream: string; lastSeq: number; ackedMs: number }>();
  #number = 0;

  constructor(options: IngestFuzzOptions, world: World) {
    this.#options = options;
    this.#world = world;
  }

  async toItsEnd(say: (line: string) => void): Promise<IngestFuzzResult> {
    const over = new AbortController();
    const watched = this.#watch(over.signal, say);
    const sources = [...this.#world.publishers];
    await Promise.all(sources.map(([source, publisher]) => this.#feed(source, publisher)));
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
    const ledger = await openLedger(this.#world.config, { clock, log });
    await this.#compareRecords(ledger);
    await this.#compareDeadLetters(ledger);
    await ledger.close();
    return this.#result;
  }

  /** All that one source brings, some at a time. */
  async #feed(source: string, publisher: Publisher): Promise<void> {
    const perSource = Math.ceil(this.#options.envelopes / this.#world.publishers.size);
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
          await this.#publish(publisher, source, sent.bytes);
          this.#awaited.add({ source, stream: sent.stream, lastSeq: sent.lastSeq, ackedMs: clock.monoMs() });
          recent.push(sent);
          if (recent.length > 50) recent.shift();
        } else if (share === 'replayed' && earlier) {
          this.#count(source, 'replayed');
          await this.#publish(publisher, source, earlier.bytes);
        } else {
          await this.#sendHostile(fields, publisher, source);
        }
      }
    };
    await Promise.all(Array.from({ length: PUBLISHES_AT_ONCE }, one));
  }

  #makeValid(source: string, ids: number[]): Sent {
    const stream = `good-${source}`;
    const sent = envelope({ stream, seqs: ids });
    for (const { seq, payload } of sent.records) this.#valid.add(`${stream}/${seq}=${Buffer.from(payload)}`);
    return { source, stream, lastSeq: ids.at(-1) ?? 0, bytes: encodeEnvelope(sent) };
  }

  async #sendHostile(fields: Fields, publisher: Publisher, source: string): Promise<void> {
    // Pub/Sub tells nobody who published: there, an envelope of another gateway is as good as any.
    const kinds = source === 'gcp' ? KINDS.filter((kind) => kind !== 'foreign') : KINDS;
    const kind = kinds[fields.below(kinds.length)] ?? 'noise';
    const one = hostile(kind, fields.below(2 ** 31));
    this.#hostile.set(nameOf(source, one.bytes), one);
    this.#count(source, kind);
    await this.#publish(publisher, source, one.bytes);
  }

  async #publish(publisher: Publisher, source: string, bytes: Uint8Array): Promise<void> {
    const properties = envelopeProperties(envelope({ seqs: [1] }));
    const message = { gateway: 'gw-1', stream: 'fuzz', bytes, properties };
    for (let tries = 1; tries <= TRIES_MAX; tries += 1) {
      const outcome = await publisher.publish(message, DEADLINE_MS);
      if (outcome.kind === 'accepted') return;
      if (tries === TRIES_MAX) this.#problem(`${source} took no message: ${JSON.stringify(outcome)}`);
      await clock.sleep(200);
    }
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

  /** Until nothing is left that the router may still do, or it does nothing; the last word is that of the comparison. */
  async #settled(): Promise<void> {
    let settledBefore = -1;
    for (let movedMs = clock.monoMs(); clock.monoMs() - movedMs < STALL_MS; ) {
      const { ledger, sources } = await this.#world.status();
      const settled = sources.reduce((sum, source) => sum + source.settled, 0);
      const isRead = sources.every((source) => source.received === source.settled);
      if (this.#awaited.size === 0 && isRead && ledger.deadLetters >= this.#hostile.size) return;
      if (settled !== settledBefore) movedMs = clock.monoMs();
      settledBefore = settled;
      await clock.sleep(100);
    }
  }

  async #compareRecords(ledger: Ledger): Promise<void> {
    const missing = new Set(this.#valid);
    for (let after = 0; ; ) {
      const page = await ledger.read(after, 1000);
      for (const { gateway, stream, seq, payload } of page) {
        const name = `${stream}/${seq}=${Buffer.from(payload)}`;
        if (gateway !== 'gw-1' || !missing.delete(name))
          this.#problem(`in the ledger, and not sent so: ${gateway} ${name}`);
      }
      this.#result.records += page.length;
      after = page.at(-1)?.offset ?? 0;
      if (after === 0) break;
    }
    if (missing.size > 0)
      this.#problem(`${missing.size} valid records are not in the ledger, such as ${[...missing][0]}`);
    const { problemCount } = await ledger.verify();
    const { conflicts } = await ledger.totals();
    if (problemCount + conflicts > 0)
      this.#problem(`${problemCount} problems and ${conflicts} conflicts in the ledger`);
  }

  async #compareDeadLetters(ledger: Ledger): Promise<void> {
    const missing = new Map(this.#hostile);
    const { upkeep } = ledger;
    const heads = await upkeep.deadLetterHeads({}, Number.MAX_SAFE_INTEGER);
    for (const { id, source, reason } of heads) {
      const letter = await upkeep.loadDeadLetter(id);
      const name = nameOf(source, letter?.bytes ?? Buffer.of());
      const expected = this.#hostile.get(name);
      missing.delete(name);
      this.#result.letters[source] = (this.#result.letters[source] ?? 0) + 1;
      this.#result.reasons[reason] = (this.#result.reasons[reason] ?? 0) + 1;
      if (!expected) this.#problem(`a dead letter that was not hostile: ${source} ${reason}`);
      else if (!expected.reasons.includes(reason))
        this.#problem(`${expected.kind} through ${source} is ${reason}`);
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
