/**
 * The cost of an encrypted buffer: commits of the same records into a file in clear and into an encrypted
 * one.
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Batch } from '../agent/store/batch.ts';
import { BufferDatabase } from '../agent/store/thread/database.ts';
import { systemEntropy } from '../shared/entropy.ts';
import { type Bench, type Measured, median, rounded } from './measure.ts';

const TURNS = 9;
const COMMITS = 200;
const RECORDS = 50;
const PAYLOAD_BYTES = 200;
const KINDS = { clear: null, encrypted: systemEntropy.bytes(32) };

export const bench: Bench = {
  name: 'encryption',
  summary: 'commits into a buffer in clear and into an encrypted one',
  run,
};

interface Turn {
  cpuUs: number;
  wallUs: number;
  bytes: number;
}

async function run(): Promise<Measured> {
  const turns: Record<keyof typeof KINDS, Turn[]> = { clear: [], encrypted: [] };
  for (let turn = 0; turn <= TURNS; turn += 1) {
    for (const kind of turn % 2 === 0
      ? (['clear', 'encrypted'] as const)
      : (['encrypted', 'clear'] as const)) {
      const measured = oneTurn(KINDS[kind]);
      // The first warms up.
      if (turn > 0) turns[kind].push(measured);
    }
  }
  const of = (kind: keyof typeof KINDS, what: keyof Turn): number =>
    median(turns[kind].map((turn) => turn[what]));
  const rows = (['clear', 'encrypted'] as const).map((kind) => ({
    file: kind,
    'µs of CPU per commit': rounded(of(kind, 'cpuUs')),
    'µs per commit': rounded(of(kind, 'wallUs')),
    'bytes per record': rounded(of(kind, 'bytes') / (COMMITS * RECORDS)),
  }));
  return {
    rows,
    figures: {
      cpu_ratio: rounded(of('encrypted', 'cpuUs') / of('clear', 'cpuUs')),
      wall_ratio: rounded(of('encrypted', 'wallUs') / of('clear', 'wallUs')),
      bytes_ratio: rounded(of('encrypted', 'bytes') / of('clear', 'bytes')),
    },
  };
}

function oneTurn(key: Uint8Array | null): Turn {
  const folder = mkdtempSync(join(tmpdir(), 'headgate-bench-'));
  try {
    const file = join(folder, 'buffer.db');
    const clock = { bootId: 'boot', offsetMs: 0, quality: 'unsynchronised' } as const;
    const database = new BufferDatabase(file, '0badcafe', clock, undefined, { key });
    const startedMs = performance.now();
    const startedCpu = process.cpuUsage();
    for (let commit = 0; commit < COMMITS; commit += 1) database.commit(columns(), []);
    const { user, system } = process.cpuUsage(startedCpu);
    const wallUs = ((performance.now() - startedMs) * 1000) / COMMITS;
    database.close();
    return { cpuUs: (user + system) / COMMITS, wallUs, bytes: statSync(file).size };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function columns(): ReturnType<Batch['columns']> {
  const batch = new Batch('held');
  for (let i = 0; i < RECORDS; i += 1) {
    const payload = systemEntropy.bytes(PAYLOAD_BYTES);
    const record = {
      stream: 'telemetry',
      device: `dev-${i % 5}`,
      topic: `plant/dev-${i % 5}/temp`,
      payload,
      monoMs: i,
    };
    batch.hold(record, 0, 0, null);
  }
  return batch.columns();
}
