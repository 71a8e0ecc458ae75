/**
 * kill -9 of a committing process: acknowledged commits are there, others are there whole or not at all (I5).
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import type { LedgerEntry, LedgerRecord } from '../../../router/ledger/types.ts';
import { seededEntropy } from '../../../shared/entropy.ts';
import { testDir } from '../../test-dir.ts';
import { type LedgerEngine, loadEngine } from './engine.ts';
import { entry, seqs } from './envelopes.ts';

const STREAMS = ['alarms', 'telemetry', 'video'];
const RECORDS_PER_STREAM = 200;
const ROUNDS = 4;
/** A child is killed after some commits, and fewer than this many more. */
const FURTHER_COMMITS = 20;

/** The entries of commit `number`: a run of records in each of several streams, in two envelopes each. */
export function killGroup(number: number): LedgerEntry[] {
  const last = number * RECORDS_PER_STREAM;
  const middle = last - RECORDS_PER_STREAM / 2;
  return STREAMS.flatMap((stream) => [
    entry({ stream, seqs: seqs(last - RECORDS_PER_STREAM + 1, middle) }),
    entry({ stream, seqs: seqs(middle + 1, last) }, 'azure'),
  ]);
}

export async function testKill(t: Test, engineFile: string): Promise<void> {
  const engine = await loadEngine(engineFile);
  const place = engine.place(testDir(t), 'killed');
  const entropy = seededEntropy(7);
  let committed = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    const acknowledged = await commitAndKill(
      engineFile,
      place,
      committed + 1,
      4 + Math.floor(entropy.float() * FURTHER_COMMITS),
    );
    t.ok(acknowledged > committed, 'commits were acknowledged before the kill');
    committed = await wholeCommits(t, engine, place);
    t.ok(committed >= acknowledged, `${acknowledged} acknowledged, ${committed} there`);
  }
}

/**
 * Kills the child in the commit that follows `commits` acknowledged ones, or in a later one; returns the last
 * number acknowledged.
 */
async function commitAndKill(
  engineFile: string,
  place: string,
  first: number,
  commits: number,
): Promise<number> {
  const script = fileURLToPath(new URL('./commit-until-killed.ts', import.meta.url));
  const child = spawn(process.execPath, [script, engineFile, place, String(first)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    if (output.split('\n').length > commits) child.kill('SIGKILL');
  });
  await once(child, 'close');
  // A number without its newline was cut by the kill.
  return Number(output.split('\n').slice(0, -1).at(-1) ?? 0);
}

/**
 * Checks that every commit is there whole or not at all, and that the seen sets say the same; returns how
 * many there are.
 */
async function wholeCommits(t: Test, engine: LedgerEngine, place: string): Promise<number> {
  const ledger = await engine.open(place);
  const records: LedgerRecord[] = [];
  for (;;) {
    const page = await ledger.read(records.at(-1)?.offset ?? 0, 1000);
    if (page.length === 0) break;
    records.push(...page);
  }
  const committed = Math.max(...records.map(({ seq }) => Math.ceil(seq / RECORDS_PER_STREAM)));
  const ids = new Set(records.map(({ stream, seq }) => `${stream}/${seq}`));
  t.equal(records.length, ids.size, 'no id twice');
  t.equal(records.length, committed * STREAMS.length * RECORDS_PER_STREAM, 'no part of a commit');
  t.equal(records.at(-1)?.offset, records.length, 'offsets are dense');
  for (const stream of await ledger.completeness()) {
    t.match(stream, { completeTo: committed * RECORDS_PER_STREAM, missingCount: 0, duplicates: 0 });
  }
  await ledger.close();
  return committed;
}
