/** A real nats-server takes no message above its `max_payload`: the feed finds the record and names it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import t from 'tap';
import { skipRecord } from '../../cli/feeds.ts';
import { loadLedgerToolConfig } from '../../router/config.ts';
import { Feed } from '../../router/feeds/feed.ts';
import { NatsSink, natsFeedOptions } from '../../router/feeds/sinks/nats.ts';
import { openSqliteLedger } from '../../router/ledger/sqlite/engine.ts';
import { systemClock as clock } from '../../shared/clock.ts';
import { systemEntropy as entropy } from '../../shared/entropy.ts';
import { createLogger } from '../../shared/log.ts';
import { entry, record, seqs } from '../router/ledger/envelopes.ts';
import { testDir } from '../test-dir.ts';
import { until } from '../until.ts';
import { clientOptions, LOGIN, natsServer } from './nats.ts';

const log = createLogger({ level: 'silent', levels: {} });
/** Above the server's default of 1 MiB. */
const TOO_LARGE = Buffer.alloc(2 * 2 ** 20, 1);

for (const delivery of ['jetstream', 'core'] as const) {
  t.test(
    `${delivery}: of 50 records the one that is too large stands alone; the others before it are there`,
    async (t) => {
      const dir = testDir(t);
      const server = await natsServer(dir);
      t.teardown(() => server.kill());
      await server.start();
      const nats = await connect({ ...clientOptions(server.port) });
      t.teardown(() => nats.close());
      const manager = await jetstreamManager(nats);
      await manager.streams.add({ name: 'readings', subjects: ['readings.>'] });
      const seen: Array<[topic: string, payload: string]> = [];
      nats.subscribe('readings.>', {
        callback: (_error, { headers, data }) =>
          void seen.push([
            decodeURIComponent(headers?.get('Headgate-Topic') ?? ''),
            Buffer.from(data).toString('hex'),
          ]),
      });
      await nats.flush();
      const ledger = await openSqliteLedger({ file: join(dir, 'ledger.db'), clock, log });
      t.teardown(() => ledger.close());
      const made = entry({ seqs: seqs(1, 50) });
      const names = ['\ufeffstart', '\ufeff', 'a/\ufffd/b', '\u{10ffff}', 'cafe\u0301 %'];
      made.envelope.records = seqs(1, 50).map((seq) => ({
        ...record(seq),
        topic: names[seq % names.length] ?? '',
        payload: seq === 30 ? TOO_LARGE : Buffer.from([seq, 0xfe, 0xff, 0]),
      }));
      await ledger.commit([made]);
      const options = {
        servers: [`nats://127.0.0.1:${server.port}`],
        ...LOGIN,
        delivery,
        subject: 'readings.{gateway}',
      };
      const sink = new NatsSink('nats', natsFeedOptions.parse(options), clock);
      const feed = new Feed({ name: 'nats', ledger, sink, clock, entropy, log, batchRecords: 20 });
      t.teardown(() => feed.stop());
      await feed.start();
      await until('the record is found', () => feed.state().refused !== null);
      t.match(feed.state(), { cursor: 29, refused: { id: 'gw-1/1-aa/telemetry/30', offset: 30 } });
      const expected = made.envelope.records
        .slice(0, 29)
        .map(({ topic, payload }) => `${topic} ${Buffer.from(payload).toString('hex')}`);
      const texts = new Set(seen.map((pair) => pair.join(' ')));
      t.same(
        expected.filter((text) => !texts.has(text)),
        [],
      );
      const config = join(dir, 'router.yaml');
      writeFileSync(
        config,
        `data_dir: '${dir}'
sources: [{ name: gcp, type: gcp, project: p, subscription: s }]
feeds: [{ name: nats, type: nats, servers: ['nats://127.0.0.1:${server.port}'], delivery: ${delivery}, subject: a }]
`,
      );
      const loaded = loadLedgerToolConfig(config);
      if (!loaded.ok) throw new Error('the configuration of the test is not sound');
      t.match(await skipRecord(loaded.config, 'nats', '30'), { done: /30/ });
      feed.notify();
      await until('the rest is written', () => feed.state().cursor === 50);
      t.match(feed.state(), { refused: null, lastError: null });
      const all = made.envelope.records
        .filter(({ seq }) => seq !== 30)
        .map(({ topic, payload }) => `${topic} ${Buffer.from(payload).toString('hex')}`);
      await until('the rest is read', () => new Set(seen.map((pair) => pair.join(' '))).size === all.length);
      t.same(new Set(seen.map((pair) => pair.join(' '))), new Set(all), 'all but that record');
    },
  );
}
