/**
 * A ledger as plain Maps and loops, without interval sets, transactions or caches, and random histories to
 * compare an engine with: overlapping, repeated and conflicting envelopes, gaps, seals, several epochs,
 * reopening in between (I5, I6).
 */

import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Test } from 'tap';
import type { Ledger } from '../../../router/ledger/ledger.ts';
import type { ConflictPolicy, ConflictPolicyOf } from '../../../router/ledger/rules/conflict-policy.ts';
import type { CommitResult, LedgerEntry, RangeOutcome } from '../../../router/ledger/types.ts';
import type { SendReason } from '../../../shared/envelope/send-reason.ts';
import { GAP_REASONS, type GapReason } from '../../../shared/record.ts';
import { testDir } from '../../test-dir.ts';
import { type LedgerEngine, loadEngine } from './engine.ts';
import { entry } from './envelopes.ts';

const POLICIES: readonly ConflictPolicy[] = ['keep-first', 'last-write-wins', 'quarantine'];
const SEQ_MAX = 24;
const RUNS = 60;

/** The streams of the histories are named after their policies. */
export const byName: ConflictPolicyOf = (stream) =>
  POLICIES.find((policy) => policy === stream) ?? 'keep-first';

interface Version {
  text: string;
  source: string;
  sentAs: SendReason | null;
}

interface ModelStream {
  /** Versions by seq: the one that stands, null in quarantine, and all that came. */
  versions: Map<number, { stands: Version | null; all: Version[] }>;
  gaps: Map<number, GapReason>;
  sealedAt: number | null;
  duplicates: number;
  conflicts: number;
}

class ModelLedger {
  readonly streams = new Map<string, ModelStream>();
  offsets: string[] = [];

  commit({ envelope, source, sentAs = null, redelivered = false }: LedgerEntry): CommitResult {
    const key = `${envelope.gateway}/${envelope.epoch}/${envelope.stream}`;
    const stream: ModelStream = this.streams.get(key) ?? {
      versions: new Map(),
      gaps: new Map(),
      sealedAt: null,
      duplicates: 0,
      conflicts: 0,
    };
    this.streams.set(key, stream);
    const result: CommitResult = { new: 0, duplicate: 0, causes: {}, conflict: 0, gap: 0, ranges: [] };
    const outcomes = new Map<number, RangeOutcome['outcome']>();
    const winners: string[] = [];
    for (const { seq, payload } of envelope.records) {
      const text = Buffer.from(payload).toString();
      const known = stream.versions.get(seq);
      if (!known) {
        stream.versions.set(seq, { stands: { text, source, sentAs }, all: [{ text, source, sentAs }] });
        stream.gaps.delete(seq);
        this.offsets.push(`${key}/${seq}=${text}`);
        result.new += 1;
        outcomes.set(seq, 'new');
      } else if (known.all.some((version) => version.text === text)) {
        result.duplicate += 1;
        outcomes.set(seq, 'duplicate');
        const { stands } = known;
        const other = stands && (stands.source === source ? 'same-source' : (sentAs ?? stands.sentAs));
        const cause = redelivered ? 'redelivery' : stands ? (other ?? 'other-source') : 'unknown';
        result.causes[cause] = (result.causes[cause] ?? 0) + 1;
      } else {
        known.all.push({ text, source, sentAs });
        result.conflict += 1;
        outcomes.set(seq, 'conflict');
        const policy = byName(envelope.stream);
        if (policy === 'keep-first') continue;
        const stood = known.stands;
        known.stands = policy === 'quarantine' ? null : { text, source, sentAs };
        if (!stood) continue;
        this.offsets.splice(this.offsets.indexOf(`${key}/${seq}=${stood.text}`), 1);
        if (known.stands) winners.push(`${key}/${seq}=${text}`);
      }
    }
    this.offsets.push(...winners);
    for (const { first, last, reason } of envelope.gaps) {
      for (let seq = first; seq <= last; seq += 1) {
        if (stream.versions.has(seq) || stream.gaps.has(seq)) continue;
        stream.gaps.set(seq, reason);
        result.gap += 1;
        outcomes.set(seq, 'gap');
      }
    }
    if (envelope.sealedAt !== null) stream.sealedAt = Math.max(stream.sealedAt ?? 0, envelope.sealedAt);
    stream.duplicates += result.duplicate;
    stream.conflicts += result.conflict;
    for (let seq = 1; seq <= Math.max(0, ...outcomes.keys()); seq += 1) {
      const outcome = outcomes.get(seq);
      const before = result.ranges.at(-1);
      if (outcome && before?.outcome === outcome && outcomes.get(seq - 1) === outcome) before.last = seq;
      else if (outcome) result.ranges.push({ first: seq, last: seq, outcome });
    }
    return result;
  }

  /** Per stream, id by id: `.` missing, `#` held, or the first letter of the reason it was given up for. */
  picture(): Record<string, string> {
    const pictures = Array.from(this.streams, ([key, { versions, gaps, ...rest }]) => {
      const highest = Math.max(0, rest.sealedAt ?? 0, ...versions.keys(), ...gaps.keys());
      let ids = '';
      for (let seq = 1; seq <= highest; seq += 1) {
        ids += versions.has(seq) ? '#' : (gaps.get(seq)?.[0] ?? '.');
      }
      return [key, summary(ids, rest)];
    });
    return Object.fromEntries(pictures);
  }
}

function summary(
  ids: string,
  counts: { sealedAt: number | null; duplicates: number; conflicts: number },
): string {
  const completeTo = ids.includes('.') ? ids.indexOf('.') : ids.length;
  const { sealedAt, duplicates, conflicts } = counts;
  return `${ids} complete to ${completeTo}, sealed ${sealedAt}, ${duplicates} duplicates, ${conflicts} conflicts`;
}

/** The same picture from what a ledger states. */
async function pictureOf(ledger: Ledger): Promise<Record<string, string>> {
  const pictures = (await ledger.completeness()).map((stream) => {
    const ids = Array.from({ length: stream.highest }, () => '#');
    for (const { first, last } of stream.missing) ids.fill('.', first - 1, last);
    for (const { first, last, reason } of stream.gaps) ids.fill(reason.charAt(0), first - 1, last);
    const text = summary(ids.join(''), stream).replace(/complete to \d+/, `complete to ${stream.completeTo}`);
    return [`${stream.gateway}/${stream.epoch}/${stream.stream}`, text];
  });
  return Object.fromEntries(pictures);
}

const seqRange = fc
  .tuple(fc.integer({ min: 1, max: SEQ_MAX }), fc.integer({ min: 0, max: 6 }))
  .map(([first, length]) => ({ first, last: first + length }));

const anyEntry = (streams: readonly string[]) =>
  fc
    .record({
      gateway: fc.constantFrom('gw-1', 'gw-2'),
      epoch: fc.constantFrom('1-aa', '2-bb'),
      stream: fc.constantFrom(...streams),
      seqs: fc.uniqueArray(fc.integer({ min: 1, max: SEQ_MAX }), { maxLength: 8 }),
      text: fc.constantFrom('same', 'same', 'same', 'other', 'third'),
      gaps: fc.array(fc.tuple(seqRange, fc.constantFrom(...GAP_REASONS)), { maxLength: 2 }),
      sealedAt: fc.option(fc.integer({ min: 0, max: SEQ_MAX }), { freq: 5 }),
      source: fc.constantFrom('aws', 'azure'),
      sentAs: fc.constantFrom(null, null, 'hedge' as const, 'failover' as const, 'redundant' as const),
      redelivered: fc.option(fc.constant(true), { nil: false, freq: 5 }),
    })
    .filter(({ seqs, gaps, sealedAt }) => seqs.length > 0 || gaps.length > 0 || sealedAt !== null)
    .map(({ seqs, gaps, source, sentAs, redelivered, ...sketch }) => ({
      ...entry(
        {
          ...sketch,
          seqs: seqs.sort((a, b) => a - b),
          gaps: gaps.map(([range, reason]) => ({ ...range, reason })),
        },
        source,
      ),
      sentAs,
      redelivered,
    }));

const history = (streams: readonly string[]) =>
  fc.array(
    fc.oneof(
      { weight: 5, arbitrary: fc.array(anyEntry(streams), { minLength: 1, maxLength: 4 }) },
      { weight: 1, arbitrary: fc.constant('reopen' as const) },
    ),
    { minLength: 1, maxLength: 14 },
  );

export async function testModel(t: Test, engineFile: string): Promise<void> {
  const engine = await loadEngine(engineFile);
  const folder = testDir(t);
  let run = 0;
  await fc.assert(
    fc.asyncProperty(history(POLICIES), async (steps) => {
      run += 1;
      await compare(engine, engine.place(folder, `model-${run}`), steps);
    }),
    { numRuns: RUNS },
  );
  t.equal(run, RUNS, 'every history agreed with the model');
}

async function compare(
  engine: LedgerEngine,
  place: string,
  steps: readonly (LedgerEntry[] | 'reopen')[],
): Promise<void> {
  const model = new ModelLedger();
  let ledger = await engine.open(place, { conflictPolicyOf: byName });
  try {
    for (const step of steps) {
      if (step === 'reopen') {
        await ledger.close();
        ledger = await engine.open(place, { conflictPolicyOf: byName });
        continue;
      }
      const expected = step.map((one) => model.commit(one));
      assert.deepStrictEqual(await ledger.commit(step), expected);
    }
    assert.deepStrictEqual(await pictureOf(ledger), model.picture());
    const records = await ledger.read(0, 1000);
    const texts = records.map(
      (r) => `${r.gateway}/${r.epoch}/${r.stream}/${r.seq}=${Buffer.from(r.payload)}`,
    );
    assert.deepStrictEqual(texts, model.offsets);
    const offsets = records.map(({ offset }) => offset);
    assert.ok(offsets.every((offset, i) => offset > (offsets[i - 1] ?? 0)));
    const mayLeave = steps.flat().some((step) => step !== 'reopen' && step.envelope.stream !== 'keep-first');
    if (!mayLeave) assert.equal(offsets.at(-1) ?? 0, offsets.length, 'dense');
    assert.equal((await ledger.verify()).problemCount, 0);
  } finally {
    await ledger.close();
  }
}
