import stringWidth from 'string-width';
import t from 'tap';
import { screen } from '../../demo/screen.ts';
import type { Snapshot } from '../../demo/snapshot.ts';

const PROVIDER = { score: 0.873, share: 1, accepted: 123_456, p50Ms: 1234, predictedUnits: 123_456 };

const SNAPSHOT: Snapshot = {
  seconds: 17,
  durationSeconds: 45,
  phase: 'publish',
  acked: 1_234_567,
  ackedPerSecond: 12_345,
  inLedger: 1_234_000,
  backlog: 567,
  unconfirmed: 4567,
  answered: true,
  unsettled: 0,
  duplicatesReconciled: 12_345,
  missing: 567,
  providers: [
    { ...PROVIDER, name: 'aws', state: 'probing', fault: 'blackhole', meteredUnits: 123_400 },
    { ...PROVIDER, name: 'azure', state: 'degraded', fault: 'credentials-silent', meteredUnits: 123_400 },
    { ...PROVIDER, name: 'gcp', state: 'healthy', fault: null, meteredUnits: 123_400 },
  ],
  streams: ['alarms', 'energy', 'vibration', 'telemetry'].map((name) => ({
    name,
    chosen: 'azure, gcp',
    pending: 12_345,
    ratePerSecond: 1234,
  })),
  notes: Array.from({ length: 20 }, (_, n) => `${n}.0 s  telemetry: aws → azure (breaker, number ${n})`),
};

/** Names that take two columns for each character. */
const WIDE: Snapshot = {
  ...SNAPSHOT,
  providers: SNAPSHOT.providers.map((row) => ({ ...row, name: `東京リージョン${row.name}` })),
  streams: SNAPSHOT.streams.map((row) => ({
    ...row,
    name: `電力🔋${row.name}`,
    chosen: '東京リージョンaws',
  })),
};

for (const [name, snapshot] of Object.entries({ ascii: SNAPSHOT, wide: WIDE })) {
  for (const [columns, rows] of [
    [80, 24],
    [60, 24],
    [120, 40],
    [40, 10],
  ] as const) {
    t.test(`${name} names on ${columns}×${rows}: the title is visible and no line wraps`, async (t) => {
      const lines = screen(snapshot, { columns, rows }).split('\n');
      t.match(lines[0], /^headgate demo {3}publish {3}17 of 45 s$/);
      t.strictSame(
        lines.filter((line) => stringWidth(line) > columns),
        [],
      );
      t.ok(lines.length < rows, `${lines.length} lines: one is left for the cursor`);
    });
  }
}

t.test('80×24 holds every provider, every stream, the totals and the newest event', async (t) => {
  const text = screen(SNAPSHOT, { columns: 80, rows: 24 });
  for (const word of [
    'aws',
    'credentials-silent',
    '123456 (123400)',
    'vibration',
    'missing 567',
    'number 19',
  ])
    t.match(text, word);
});

t.test('a terminal that is too low says how much is left out', async (t) => {
  const lines = screen(SNAPSHOT, { columns: 80, rows: 8 }).split('\n');
  t.match(lines.at(-1), /^… \d+ more lines$/);
});
