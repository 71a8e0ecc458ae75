import t from 'tap';
import { loadRouterConfig } from '../../router/config.ts';

const GCP = 'type: gcp, project: p, subscription: s';

function load(text: string) {
  return loadRouterConfig('router.yaml', { env: {}, readFile: () => text });
}

function problemPaths(text: string): string[] {
  const result = load(text);
  return result.ok ? [] : result.problems.map(({ path }) => path);
}

t.test('the defaults', async (t) => {
  t.match(load(`data_dir: /d\nsources: [{ name: gcp, ${GCP} }]\n`), {
    ok: true,
    config: {
      data_dir: '/d',
      log: { level: 'info', levels: {} },
      admin: { host: '127.0.0.1', port: 9465 },
      ledger: { type: 'sqlite' },
      feeds: [],
      sources: [{ name: 'gcp', type: 'gcp' }],
    },
  });
});

t.test('sources and feeds by type', async (t) => {
  const text = `
data_dir: /d
sources:
  - { name: aws, type: aws, region: eu-west-1, queue_url: "https://sqs.eu-west-1.amazonaws.com/1/q" }
  - name: azure
    type: azure
    event_hub: h
    credentials: { connection_string: "Endpoint=sb://x/;SharedAccessKeyName=n;SharedAccessKey=k" }
  - { name: gcp, ${GCP} }
feeds:
  - { name: file, type: ndjson, file: /d/records.ndjson }
  - { name: broker, type: mqtt, url: "mqtt://127.0.0.1:1884" }
`;
  t.strictSame(problemPaths(text), []);
});

t.test('names are unique among sources and among feeds', async (t) => {
  const text = `data_dir: /d
sources: [{ name: a, ${GCP} }, { name: a, ${GCP} }]
feeds: [{ name: a, type: ndjson, file: "-" }, { name: a, type: ndjson, file: x }]
`;
  t.strictSame(problemPaths(text), ['sources[1].name', 'feeds[1].name']);
});

t.test('a rule of a source across its fields holds inside the list', async (t) => {
  const source =
    'type: azure, credentials: { connection_string: "Endpoint=sb://x/;SharedAccessKeyName=n;SharedAccessKey=k" }';
  t.strictSame(problemPaths(`data_dir: /d\nsources: [{ name: a, ${source} }]`), ['sources[0].event_hub']);
});

t.test('the ledger on PostgreSQL; its password is in no report', async (t) => {
  const start = `data_dir: /d\nsources: [{ name: gcp, ${GCP} }]\n`;
  t.match(load(`${start}ledger: { type: postgres, url: "postgres://u:p@db/headgate", timeout: 3s }`), {
    ok: true,
    config: { ledger: { type: 'postgres', schema: 'headgate', connections_max: 4, timeout: 3000 } },
  });
  const bad = load(`${start}ledger: { type: postgres, url: "mysql://u:hunter22@db/h", schema: "a;b" }`);
  const problems = bad.ok ? [] : bad.problems;
  t.strictSame(
    problems.map(({ path }) => path),
    ['ledger.url', 'ledger.schema'],
  );
  t.notMatch(JSON.stringify(problems), /hunter22/);
});

t.test('the ledger on JetStream; its password is in no report', async (t) => {
  const start = `data_dir: /d\nsources: [{ name: gcp, ${GCP} }]\n`;
  t.match(load(`${start}ledger: { type: jetstream, servers: ["tls://a:4222"], user: u, password: p }`), {
    ok: true,
    config: { ledger: { type: 'jetstream', name: 'headgate', replicas: 3, timeout: 10_000 } },
  });
  const bad = load(
    `${start}ledger: { type: jetstream, servers: ["nats://u:hunter22@a:4222"], name: "a.b", replicas: 2 }`,
  );
  const problems = bad.ok ? [] : bad.problems;
  t.strictSame(
    problems.map(({ path }) => path),
    ['ledger.servers[0]', 'ledger.name', 'ledger.replicas'],
  );
  t.notMatch(JSON.stringify(problems), /hunter22/);
});

t.test('mistakes', async (t) => {
  t.strictSame(problemPaths('ledger: { type: oracle }\nsources: []\nfeeds: [{ name: x, type: kafka }]'), [
    'data_dir',
    'ledger.type',
    'sources',
    'feeds[0].type',
  ]);
});
