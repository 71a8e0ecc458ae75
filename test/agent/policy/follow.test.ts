/** Every part takes the policy in the same step: buffer, routing, forwarder, receipts, costs, intake. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { stringify } from 'yaml';
import { Intake } from '../../../agent/broker/intake.ts';
import { loadAgentConfig } from '../../../agent/config/config.ts';
import { Meter } from '../../../agent/cost/meter.ts';
import { ReceiptTracker } from '../../../agent/downlink/receipt-tracker.ts';
import { followPolicy } from '../../../agent/policy/follow.ts';
import { openDoor } from '../../../agent/policy/open-door.ts';
import { AuditLog } from '../../../shared/audit/audit-log.ts';
import { systemClock } from '../../../shared/clock.ts';
import { systemEntropy } from '../../../shared/entropy.ts';
import { standardTariff } from '../../../shared/pricing/metering.ts';
import { ForwardClock } from '../../forward-clock.ts';
import { testDir } from '../../test-dir.ts';
import { until } from '../../until.ts';
import { agentOn } from '../forward/fixture.ts';
import { bufferFile } from '../store/fixture.ts';

t.test('one step, and all of them have it', async (t) => {
  const dir = testDir(t);
  const file = join(dir, 'agent.yaml');
  const write = (policy: object): void =>
    writeFileSync(
      file,
      stringify({
        gateway: 'gw-1',
        data_dir: dir,
        providers: [{ name: 'a', type: 'mqtt', url: 'mqtt://127.0.0.1:9' }],
        policy,
      }),
    );
  write({ version: 1, streams: { telemetry: { topics: ['#'] } } });
  const loaded = loadAgentConfig(file);
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  const { store, forwarder, routing, log, logged, stop } = await agentOn(bufferFile(dir), {
    providers: ['a'],
    down: new Set(['a']),
  });
  t.teardown(stop);
  const clock = systemClock;
  const door = await openDoor(loaded.config, clock, log);
  const config = { ...loaded.config, policy: door.present };
  // The work of every second comes every 20 ms.
  const meter = new Meter({
    file: join(dir, 'usage.json'),
    providers: new Map([['a', { tariff: standardTariff('aws'), topicPrefix: 'headgate' }]]),
    cost: config.policy.cost,
    isSynchronised: () => true,
    dispatch: (event) => routing.dispatch(event),
    clock: new ForwardClock({ periodMsMax: 20 }),
    log,
  });
  await meter.start();
  t.teardown(() => meter.stop());
  const tracker = new ReceiptTracker({
    streams: () => forwarder.queued(),
    settlements: forwarder.settlements,
    routing,
    providers: ['a'],
    lagMs: config.policy.failover.receipt_lag,
    clock,
    log,
  });
  const intake = new Intake({ store, streams: [{ name: 'telemetry', filters: ['#'] }], clock, log });
  const audit = new AuditLog({ dataDir: dir, program: 'agent', clock, entropy: systemEntropy });
  const parts = { door, audit, config, facts: [], stranded: () => new Map([['x', 'nobody']]) };
  const rest = { store, routing, forwarder, tracker, meter, intake, clock, log };
  const source = followPolicy({ ...parts, ...rest }, loaded.config, () => loadAgentConfig(file));
  await door.start();
  await source.start();
  t.teardown(() => source.stop());

  const envelope = {
    gateway: 'gw-1',
    stream: 'telemetry',
    bytes: new Uint8Array(100),
    properties: { hg: '1', gw: 'gw-1', ep: 'e', st: 'telemetry', n: '1' },
  };
  meter.count('a', envelope, { kind: 'accepted' });
  t.equal(meter.reading().budget, 'none');
  write({
    version: 2,
    streams: {
      small: { topics: ['small'], max_bytes: '1B', when_full: 'reject' },
      telemetry: { topics: ['#'], redundancy: 2 },
    },
    cost: { budget: 1e-9 },
    failover: { receipt_lag: '77s' },
  });
  await source.reload();
  t.match(
    door.state,
    { version: 1, refused: { problem: /redundancy/ } },
    'one provider cannot hold two copies',
  );

  write({
    version: 2,
    streams: {
      small: { topics: ['small'], max_bytes: '1B', when_full: 'reject' },
      telemetry: { topics: ['#'] },
    },
    cost: { budget: 1e-9 },
    failover: { receipt_lag: '77s' },
  });
  await source.reload();
  t.match(door.state, { version: 2, refused: null });
  t.strictSame(Object.keys(routing.chosen()), ['small', 'telemetry'], 'routing');
  t.strictSame(
    forwarder
      .streams()
      .map(({ name }) => name)
      .toSorted(),
    ['small', 'telemetry'],
    'forwarder',
  );
  t.equal(tracker.lagMs, 77_000, 'receipts');
  const publish = {
    device: 'd',
    topic: 'small',
    payload: Buffer.alloc(100),
    qos: 1,
    retransmitted: false,
  } as const;
  const refusal = await new Promise((resolve) => intake.take({ ...publish, session: null }, resolve));
  t.match(refusal, { code: 'full', message: /stream small/ }, 'intake, and the bounds of the buffer');
  await until('the budget', () => meter.reading().budget === 'spent');
  t.ok(logged.some(({ event, stream }) => event === 'routing.stranded' && stream === 'x'));
  const entries: unknown[] = [];
  await audit.check(({ entry }) => entries.push(entry));
  t.strictSame(entries, [], 'the first note of a data folder has nothing before it');
  write({ version: 3, streams: { telemetry: { topics: ['#'] } } });
  await source.reload();
  await audit.check(({ entry }) => entries.push(entry));
  t.match(entries, [{ action: 'config.applied', who: { via: 'reload' }, detail: { sections: 'policy' } }]);
});
