/** Variables of the environment that lead an entry to a local server, as the vendors' own tools have them. */
import { createServer } from 'node:http';
import t from 'tap';
import { z } from 'zod';
import { gcpDownlink } from '../../agent/downlink/options.ts';
import { azureOptions } from '../../agent/providers/azure/options.ts';
import { openAzurePublisher } from '../../agent/providers/azure/publisher.ts';
import { openGcpPublisher } from '../../agent/providers/gcp/publisher.ts';
import { gcpType } from '../../agent/providers/gcp/type.ts';
import { environmentFindings } from '../../cli/check/environment.ts';
import { receiptsSchema } from '../../router/receipts/options.ts';
import { sourceSchema } from '../../router/sources/open.ts';
import { PubSubSource } from '../../router/sources/pubsub/source.ts';
import { sqsOptions } from '../../router/sources/sqs/options.ts';
import { SqsSource } from '../../router/sources/sqs/source.ts';
import { environmentEndpoint } from '../../shared/aws.ts';
import { awsShadow, openShadows } from '../../shared/aws-shadow.ts';
import { tellEnvironmentEndpoints } from '../../shared/environment-endpoints.ts';
import { placeOf } from '../../shared/gcp/connection.ts';
import { createLogger } from '../../shared/log.ts';
import { attempt } from '../attempt.ts';
import { deps, envelope, startGcp } from '../loopback/gcp-support.ts';
import { until } from '../until.ts';

const REGION = 'eu-west-1';
const KEYS = { access_key_id: 'AKIATEST', secret_access_key: 'test' };

function withEnvironment(
  t: { teardown(run: () => void): void },
  change: Readonly<Record<string, string>>,
): void {
  const before = { ...process.env };
  t.teardown(() => {
    for (const name of Object.keys(change)) delete process.env[name];
    Object.assign(process.env, before);
  });
  Object.assign(process.env, change);
}

t.test('PUBSUB_EMULATOR_HOST: agent and router go to the emulator', async (t) => {
  const { agent, router } = await startGcp(t, true);
  const [publishAt, readAt] = [String(agent.endpoint), String(router.endpoint)].map((at) =>
    at.replace('localhost', '127.0.0.1'),
  );
  const plain = { insecure: false, endpoint: undefined };
  withEnvironment(t, { PUBSUB_EMULATOR_HOST: String(publishAt) });
  const publisher = await openGcpPublisher({ ...agent, ...plain, region: undefined }, deps);
  t.teardown(() => publisher.close());
  t.match(await publisher.publish(envelope('one'), attempt(20_000)), { kind: 'accepted' });
  process.env['PUBSUB_EMULATOR_HOST'] = readAt;
  const source = new PubSubSource('gcp', { ...router, ...plain }, deps);
  t.teardown(() => source.stop());
  const seen: string[] = [];
  await source.start(async ({ bytes }) => {
    seen.push(Buffer.from(bytes).toString());
    return 'settle';
  });
  await until('it is read', () => seen.includes('one'));
});

t.test('AWS_ENDPOINT_URL_SQS: the source asks the local server, over plain http', async (t) => {
  const targets: string[] = [];
  const server = createServer((request, response) => {
    targets.push(`${request.headers.host} ${request.headers['x-amz-target']}`);
    response.writeHead(200, { 'content-type': 'application/x-amz-json-1.0' }).end('{}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const at = `127.0.0.1:${Reflect.get(Object(server.address()), 'port')}`;
  withEnvironment(t, { AWS_ENDPOINT_URL_SQS: `http://${at}` });
  const queue = {
    region: REGION,
    queue_url: `https://sqs.${REGION}.amazonaws.com/1/headgate`,
    credentials: KEYS,
  };
  const source = new SqsSource('aws', sqsOptions.parse(queue), deps);
  t.teardown(() => source.stop());
  await source.start(async () => 'settle');
  await until('the local server is asked', () => targets.includes(`${at} AmazonSQS.ReceiveMessage`));
  await until('it is connected', () => source.state().connected);

  const shadow = z
    .strictObject(awsShadow)
    .parse({ region: REGION, endpoint: `http://${at}`, credentials: KEYS });
  const { client, sdk } = await openShadows(shadow, 1, deps.clock);
  t.teardown(() => client.destroy());
  await client.send(new sdk.GetThingShadowCommand({ thingName: 'gw-1', shadowName: 'headgate' }));
  t.ok(
    targets.some((target) => target.startsWith(`${at} undefined`)),
    'a shadow too',
  );
});

t.test('the variables, by the vendors’ rules', async (t) => {
  const sqs = (env: Record<string, string>) => environmentEndpoint('SQS', env)?.url ?? null;
  const local = 'http://127.0.0.1:4566';
  t.equal(sqs({}), null);
  t.equal(sqs({ AWS_ENDPOINT_URL: local }), local);
  t.equal(sqs({ AWS_ENDPOINT_URL: local, AWS_ENDPOINT_URL_SQS: 'https://own' }), 'https://own');
  t.equal(sqs({ AWS_ENDPOINT_URL_IOT_DATA_PLANE: local }), null);
  t.equal(sqs({ AWS_ENDPOINT_URL: local, AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: 'true' }), null);
  t.throws(
    () => sqs({ AWS_ENDPOINT_URL: 'http://10.0.0.9:4566' }),
    /AWS_ENDPOINT_URL: .*this machine.*unencrypted/,
  );
  t.throws(() => sqs({ AWS_ENDPOINT_URL: 'localhost' }), /expected a URL/);
  const gcp = (host: string, endpoint?: string) => placeOf({ endpoint }, { PUBSUB_EMULATOR_HOST: host });
  t.match(gcp('localhost:8085'), { host: 'localhost', port: 8085, insecure: true });
  t.match(gcp('[::1]:8085'), { host: '::1', port: 8085, insecure: true });
  t.match(gcp('localhost:8085', 'other:443'), { host: 'other', insecure: false, option: 'endpoint' });
  t.throws(() => gcp('emulator:8085'), /PUBSUB_EMULATOR_HOST: plaintext is for an emulator on this machine/);
  t.throws(() => gcp('localhost'), /expected host:port/);
});

t.test('plaintext and http:// off this machine are refused, with the reason', async (t) => {
  const place = { project: 'p', endpoint: 'emulator:8085', insecure: true };
  const queue = { type: 'aws', name: 'a', region: REGION };
  const cases = [
    gcpType.entry.safeParse({ type: 'gcp', name: 'g', ...place }),
    gcpDownlink.safeParse({ type: 'gcp', name: 'g', subscription: 's', ...place }),
    sourceSchema.safeParse({ type: 'gcp', name: 'g', subscription: 's', ...place }),
    receiptsSchema.safeParse({ through: [{ type: 'gcp', name: 'g', ...place }] }),
    sourceSchema.safeParse({ ...queue, queue_url: 'http://10.0.0.9/1/q' }),
    sourceSchema.safeParse({ ...queue, queue_url: 'https://q/1/q', endpoint: 'http://10.0.0.9' }),
    receiptsSchema.safeParse({ through: [{ ...queue, endpoint: 'http://10.0.0.9' }] }),
  ];
  for (const { error } of cases) t.match(error?.issues[0]?.message, /this machine.*unencrypted/);
});

t.test('a device with a certificate says at the start that it leaves the proxy aside', async (t) => {
  withEnvironment(t, { HTTPS_PROXY: 'http://edge:tinysecret@proxy.example:3128' });
  const lines: unknown[] = [];
  const write = (line: string): void => void lines.push(JSON.parse(line));
  const log = createLogger({ level: 'warn', levels: {} }, { write });
  const x509 = { host_name: 'hub.azure-devices.net', device_id: 'gw-1', cert_file: 'c', key_file: 'k' };
  const publisher = await openAzurePublisher(
    azureOptions.parse({ region: 'westeurope', credentials: { x509 } }),
    { clock: deps.clock, log },
  );
  await publisher.close();
  t.match(lines, [{ event: 'azure.proxy_not_used', proxy: 'proxy.example:3128' }]);
  t.notMatch(JSON.stringify(lines), /tinysecret/);
});

t.test('an entry that goes where a variable says is told, by the check and at the start', async (t) => {
  const local = 'http://127.0.0.1:4566';
  const env = {
    PUBSUB_EMULATOR_HOST: '127.0.0.1:8085',
    AWS_ENDPOINT_URL: local,
    HTTPS_PROXY: 'http://proxy:3128',
  };
  const x509 = { host_name: 'hub.azure-devices.net', device_id: 'gw-1' };
  const agent = {
    providers: [
      { type: 'aws', endpoint: 'https://abc.iot.example' },
      { type: 'gcp' },
      { type: 'azure', credentials: { x509 } },
      { type: 'gcp', endpoint: 'pubsub.googleapis.com:443' },
    ],
  };
  t.match(environmentFindings(agent, env), [
    { path: ['providers', 0, 'endpoint'], message: /goes before AWS_ENDPOINT_URL/, isNote: true },
    { path: ['providers', 1, 'type'], message: /127\.0\.0\.1:8085 without TLS/, isNote: true },
    { path: ['providers', 2, 'credentials', 'x509'], message: /directly to the hub/, isNote: true },
  ]);
  t.match(environmentFindings({ sources: [{ type: 'aws' }] }, { AWS_ENDPOINT_URL: 'http://10.0.0.9' }), [
    { path: ['sources', 0, 'type'], message: /unencrypted/, isNote: undefined },
  ]);
  t.same(environmentFindings(agent, {}), []);
  const lines: unknown[] = [];
  const write = (line: string): void => void lines.push(JSON.parse(line));
  const log = createLogger({ level: 'warn', levels: {} }, { write });
  const started = [
    { name: 'a', type: 'aws' },
    { name: 'g', type: 'gcp' },
    { name: 'own', type: 'gcp', endpoint: 'pubsub.googleapis.com:443' },
  ];
  tellEnvironmentEndpoints(started, log, env);
  t.match(lines, [
    { event: 'environment.endpoint', entry: 'a', variable: 'AWS_ENDPOINT_URL', endpoint: local },
    { event: 'environment.endpoint', entry: 'g', endpoint: '127.0.0.1:8085' },
  ]);
  t.equal(lines.length, 2);
});
