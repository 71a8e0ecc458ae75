import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type Comparison, compare } from '../../demo/verdict.ts';
import { openSqliteLedger } from '../../router/ledger/sqlite/engine.ts';
import { systemClock } from '../../shared/clock.ts';
import { createLogger } from '../../shared/log.ts';
import { testDir } from '../test-dir.ts';

interface Row {
  device?: string;
  topic?: string;
  payload: string;
  stream?: string;
  source?: string;
}

const RESIDENCY = { stream: 'energy', outside: ['gcp'] };

/** Device logs and a real ledger with these rows, compared. */
async function judged(
  t: Test,
  acked: Array<{ payload: string; resent?: boolean }>,
  rows: Row[],
): Promise<Comparison> {
  const dir = testDir(t);
  const devices = join(dir, 'devices');
  mkdirSync(devices);
  const lines = acked.map(({ payload, resent = false }) =>
    JSON.stringify({ topic: 'plant/a', payload, resent }),
  );
  writeFileSync(join(devices, 'pump-1.ndjson'), lines.map((line) => `${line}\n`).join(''));
  const log = createLogger({ level: 'silent', levels: {} });
  const ledger = await openSqliteLedger({ file: join(dir, 'ledger.db'), clock: systemClock, log });
  t.teardown(() => ledger.close());
  await ledger.commit(
    rows.map(
      ({ device = 'pump-1', topic = 'plant/a', payload, stream = 'telemetry', source = 'aws' }, i) => ({
        source,
        receivedWallMs: 1,
        verified: true,
        envelope: {
          gateway: 'gw',
          epoch: '1-ab',
          stream,
          clock: { bootId: 'b', offsetMs: 0, quality: 'synchronised' },
          lane: 'live',
          records: [{ seq: i + 1, monoMs: i, device, topic, payload: Buffer.from(payload) }],
          gaps: [],
          sealedAt: null,
        },
      }),
    ),
  );
  return compare(devices, ledger, RESIDENCY);
}

t.test('all there, once', async (t) => {
  t.match(await judged(t, [{ payload: 'a' }, { payload: 'b' }], [{ payload: 'b' }, { payload: 'a' }]), {
    acked: 2,
    delivered: 2,
    missing: 0,
    duplicatedInLedger: 0,
    deviceRetries: 0,
    residencyViolations: 0,
  });
});

t.test('one missing, one byte changed, a wrong topic and a wrong device each count as missing', async (t) => {
  t.match(await judged(t, [{ payload: 'a' }, { payload: 'b' }], [{ payload: 'a' }]), {
    delivered: 1,
    missing: 1,
  });
  t.match(await judged(t, [{ payload: 'abc' }], [{ payload: 'abd' }]), { delivered: 0, missing: 1 });
  t.match(await judged(t, [{ payload: 'a' }], [{ payload: 'a', topic: 'plant/b' }]), { missing: 1 });
  t.match(await judged(t, [{ payload: 'a' }], [{ payload: 'a', device: 'pump-2' }]), { missing: 1 });
});

t.test('a second record is a duplicate, unless the device itself sent it again', async (t) => {
  const twice = [{ payload: 'a' }, { payload: 'a' }];
  t.match(await judged(t, [{ payload: 'a' }], twice), {
    delivered: 1,
    duplicatedInLedger: 1,
    deviceRetries: 0,
  });
  t.match(await judged(t, [{ payload: 'a', resent: true }], twice), {
    duplicatedInLedger: 0,
    deviceRetries: 1,
  });
});

t.test('a record that reached the ledger without its PUBACK reaching the device is no fault', async (t) => {
  t.match(await judged(t, [], [{ payload: 'a' }]), { acked: 0, missing: 0, duplicatedInLedger: 0 });
});

t.test(
  'a record of the stream with a residency that came through a cloud outside is counted (I4)',
  async (t) => {
    const rows = [
      { payload: 'a', stream: 'energy', source: 'gcp' },
      { payload: 'b', stream: 'energy', source: 'aws' },
    ];
    t.match(await judged(t, [{ payload: 'a' }], rows), { residencyViolations: 1 });
  },
);
