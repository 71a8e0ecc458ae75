/** Entries of a real agent's audit log, on their way through its buffer and a cloud into a ledger. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { openSqliteLedger } from '../../../router/ledger/sqlite/engine.ts';
import { AUDIT_STREAM, digest } from '../../../shared/audit/audit-log.ts';
import { chained, NO_HASH } from '../../../shared/audit/core/entry.ts';
import { systemClock } from '../../../shared/clock.ts';
import { decodeEnvelope } from '../../../shared/envelope/codec.ts';
import type { Envelope } from '../../../shared/envelope/envelope.ts';
import { createLogger } from '../../../shared/log.ts';
import { command, folderWith } from '../../cli/run.ts';
import { until } from '../../until.ts';
import { type Gateway, gatewayWith } from '../history/gateway.ts';

const log = createLogger({ level: 'silent', levels: {} });

function auditEnvelopes({ brokers }: Gateway): Envelope[] {
  return [brokers.a, brokers.b]
    .flatMap(({ published }) => published.map(({ payload }) => decodeEnvelope(payload)))
    .filter(({ stream }) => stream === AUDIT_STREAM);
}

const entriesIn = (envelopes: readonly Envelope[]): number[] =>
  envelopes.flatMap(({ records }) =>
    records.map(({ payload }) => JSON.parse(Buffer.from(payload).toString()).seq),
  );

t.test('the ledger holds the trail, over a kill; a log rewritten on the gateway is found', async (t) => {
  const gateway = await gatewayWith(t, {
    policy: { streams: { telemetry: { topics: ['#'], linger: '10ms' } } },
    more: { audit: { ship: true } },
  });
  const data = join(gateway.dir, 'data');
  const arrived = (seq: number) =>
    until(`entry ${seq}`, () => entriesIn(auditEnvelopes(gateway)).includes(seq) || null);
  t.match(await gateway.cli('hold', 'add', 'a', '--reason', 'new modem'), { code: 0 });
  t.match(await command(['device', 'group', 'add', 'pumps', '--data-dir', data]), { code: 0 });
  await arrived(4);
  await gateway.agent.kill();
  t.match(await command(['device', 'group', 'add', 'valves', '--data-dir', data]), { code: 0 });
  await gateway.start();
  await arrived(6);
  const shown = await gateway.cli('status');
  t.match(shown.stdout, /_audit/);

  const router = folderWith(t, {});
  const config = join(
    folderWith(t, {
      'router.yaml': `data_dir: ${router}\nsources: [{ name: gcp, type: gcp, project: p, subscription: s }]\nlog: { level: silent }\n`,
    }),
    'router.yaml',
  );
  const ledger = await openSqliteLedger({ file: join(router, 'ledger.db'), clock: systemClock, log });
  const entries = auditEnvelopes(gateway).map((envelope) => ({
    envelope,
    source: 'gcp',
    receivedWallMs: 0,
    verified: true,
  }));
  await ledger.commit(entries);
  await ledger.close();
  const verified = await command(['audit', 'verify', '--config', config, '--gateway', 'gw-1']);
  t.match(verified, { code: 0, stdout: /6 entries, 1 to 6\nwhole\n$/ });
  t.match(await command(['audit', 'verify', '--config', config, '--gateway', 'gw-2']), {
    code: 1,
    stderr: /no audit entries of gateway "gw-2"/,
  });
  t.match(await command(['audit', 'show', '--config', config, '--gateway', 'gw-1']), {
    code: 0,
    stdout: /hold\.add +a +done .*new modem/,
  });
  const copy = join(router, 'copy.ndjson');
  writeFileSync(copy, (await command(['audit', 'export', '--config', config, '--gateway', 'gw-1'])).stdout);
  const against = () => command(['audit', 'verify', '--data-dir', data, '--against', copy]);
  t.match(await against(), { code: 0, stdout: /whole, and agrees with/ });

  // As root could: the log without the second change, with right hashes and a right head.
  const file = join(data, 'audit', '000000000001.ndjson');
  const kept = readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  let prev = NO_HASH;
  const lines = kept
    .filter(({ target }) => target !== 'pumps')
    .map(({ hash: _, ...one }, at) => {
      const made = chained({ ...one, seq: at + 1, of: one.of === null ? null : at, prev }, digest);
      prev = made.hash;
      return made.line;
    });
  writeFileSync(file, `${lines.join('\n')}\n`);
  writeFileSync(
    join(data, 'audit', 'head.json'),
    JSON.stringify({ log: kept[0].log, seq: lines.length, hash: prev }),
  );
  t.match(await command(['audit', 'verify', '--data-dir', data]), { code: 0 }, 'by itself it looks whole');
  t.match(await against(), { code: 1, stdout: /is another entry than the one that left/ });
  await until(
    'the agent finds it too',
    () => readFileSync(join(gateway.dir, 'agent.log'), 'utf8').includes('audit.rewritten') || null,
  );
});
