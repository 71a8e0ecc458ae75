/**
 * A real mosquitto that refuses one record of many: MQTT 3.1.1 has no answer for that, and mosquitto ends the
 * connection. The feed finds the record, names it, and `feeds skip` passes over it alone.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connectAsync } from 'mqtt';
import t from 'tap';
import { skipRecord } from '../../cli/feeds.ts';
import { loadLedgerToolConfig } from '../../router/config.ts';
import { Feed } from '../../router/feeds/feed.ts';
import { MqttSink } from '../../router/feeds/sinks/mqtt.ts';
import { mqttFeedOptions } from '../../router/feeds/sinks/mqtt-options.ts';
import { openSqliteLedger } from '../../router/ledger/sqlite/engine.ts';
import { systemClock as clock } from '../../shared/clock.ts';
import { systemEntropy as entropy } from '../../shared/entropy.ts';
import { createLogger } from '../../shared/log.ts';
import { entry, record, seqs } from '../router/ledger/envelopes.ts';
import { testDir } from '../test-dir.ts';
import { until } from '../until.ts';
import { mosquitto, PASSWORD, USERNAME } from './mosquitto.ts';

const log = createLogger({ level: 'silent', levels: {} });
const TOO_LARGE = Buffer.alloc(5000, 1);

t.test('of 40 records, the one above max_packet_size is named, and skipped alone', async (t) => {
  const dir = testDir(t);
  const server = await mosquitto(dir, { settings: ['max_packet_size 2000'] });
  t.teardown(() => server.stop());
  await server.start();
  const url = `mqtt://127.0.0.1:${server.port}`;
  const login = { username: USERNAME, password: PASSWORD };
  const reader = await connectAsync(url, { ...login, reconnectPeriod: 0 });
  t.teardown(() => reader.endAsync());
  const seen = new Set<string>();
  reader.on('message', (_topic, payload) => void seen.add(payload.toString()));
  await reader.subscribeAsync('t/#', { qos: 1 });
  const ledger = await openSqliteLedger({ file: join(dir, 'ledger.db'), clock, log });
  t.teardown(() => ledger.close());
  const made = entry({ seqs: seqs(1, 40) });
  made.envelope.records = seqs(1, 40).map((seq) =>
    seq === 17 ? { ...record(seq), payload: TOO_LARGE } : record(seq),
  );
  await ledger.commit([made]);
  const sink = new MqttSink('plant', mqttFeedOptions.parse({ url, ...login, topic: 't/{topic}' }), clock);
  const feed = new Feed({ name: 'plant', ledger, sink, clock, entropy, log });
  t.teardown(() => feed.stop());
  await feed.start();
  await until('the record is found', () => feed.state().refused !== null);
  t.match(feed.state(), { cursor: 16, refused: { id: 'gw-1/1-aa/telemetry/17', offset: 17 } });
  const config = join(dir, 'router.yaml');
  writeFileSync(
    config,
    `data_dir: '${dir}'
sources: [{ name: gcp, type: gcp, project: p, subscription: s }]
feeds: [{ name: plant, type: mqtt, url: '${url}' }]
`,
  );
  const loaded = loadLedgerToolConfig(config);
  if (!loaded.ok) throw new Error('the configuration of the test is not sound');
  t.match(await skipRecord(loaded.config, 'plant', '17'), { done: /17/ });
  feed.notify();
  await until('the rest is delivered', () => feed.state().cursor === 40);
  await until('the rest is read', () => seen.size === 39);
  t.same(
    [...seen].map(Number).sort((a, b) => a - b),
    seqs(1, 40).filter((seq) => seq !== 17),
  );
  t.match(feed.state(), { refused: null, lastError: null });
});
