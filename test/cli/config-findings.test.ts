/** Valid files with which no record would leave or arrive, or the program would not start. */
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { checkConfig } from '../../cli/check-config.ts';
import { createCertificateAuthority } from '../../loopback/ca.ts';
import { systemClock } from '../../shared/clock.ts';
import { pathText } from '../../shared/config/problem.ts';
import { systemEntropy } from '../../shared/entropy.ts';
import { command, folderWith } from './run.ts';

const AGENT = `gateway: gw-1
data_dir: /tmp/x
providers:
  - { name: aws, type: aws, region: eu-west-1, endpoint: 'https://a-ats.iot.eu-west-1.amazonaws.com' }
`;
const ROUTER = 'data_dir: /tmp/x\nsources: [{ name: gcp, type: gcp, project: p, subscription: s }]\n';

const HUB = 'HostName=h.azure-devices.net;DeviceId=gw-1;SharedAccessKey=a2V5';

/** `path: message; hint` of each mistake in a file. */
function said(t: Test, text: string, secrets = true, more: Record<string, string> = {}): string[] {
  const file = join(folderWith(t, { 'c.yaml': text, ...more }), 'c.yaml');
  return checkConfig(file, { kind: null, secrets }).problems.map(
    ({ path, message, hint }) => `${path}: ${message}; ${hint}`,
  );
}

t.test('a sound file has none', async (t) => {
  t.strictSame(said(t, AGENT), []);
  t.strictSame(said(t, ROUTER), []);
});

t.test('an admin server for the network has a token, or says that it needs none', async (t) => {
  const open = /^admin\.host: all hosts that reach this address could read .*; give admin\.token/;
  for (const text of [AGENT, ROUTER]) {
    const admin = (more: string): string[] => said(t, `${text}admin: { port: 1, ${more} }\n`);
    for (const host of ['0.0.0.0', '"::"', '192.168.1.4', 'gw.local'])
      t.match(admin(`host: ${host}`), [open]);
    t.strictSame(admin('host: 0.0.0.0, trusted_network: true'), []);
    t.strictSame(admin('host: 0.0.0.0, token: correct-horse-battery'), []);
    t.strictSame(admin('host: 127.0.0.2'), []);
    const short = admin('host: 0.0.0.0, token: short-secret');
    t.match(short, [/^admin\.token: expected 16 to 256 visible/]);
    t.notMatch(short.join(''), /short-secret/);
  }
});

t.test('a misspelt certification, and one that no provider has', async (t) => {
  const policy = (more: string): string => `${AGENT}policy: { compliance: { ${more} } }\n`;
  const at = pathText(['policy', 'compliance', 'required_certifications', 0]);
  t.match(said(t, policy('required_certifications: [ISO 2701]')), [
    /^policy.*: no provider has it by its price sheet.*price_sheet of a provider/,
    /: not a known certification: no provider would be eligible; did you mean "ISO 27001"\?/,
  ]);
  t.match(said(t, policy('required_certifications: [HIPAA]')), [
    `${at}: no provider has it by its price sheet: the records could never leave the buffer; name it under certifications in the price_sheet of a provider that has it`,
  ]);
  t.strictSame(said(t, policy('required_certifications: [ISO 27001]')), []);
  const alone = (more: string): string => `compliance: { ${more} }\nstreams: { all: { topics: ['#'] } }\n`;
  t.equal(said(t, alone('required_certifications: [Plant 7]')).length, 1);
  t.strictSame(said(t, alone('required_certifications: [Plant 7], own_certifications: [Plant 7]')), []);
});

t.test('the mistakes of a policy in a file of its own are told there', async (t) => {
  const text = `${AGENT}policy_file: p.yaml\n`;
  const policy = "streams: { all: { topics: ['#'] } }\ncompliance: { required_certifications: [ISO 2701] }\n";
  const file = join(folderWith(t, { 'c.yaml': text, 'p.yaml': policy }), 'c.yaml');
  const { problems } = checkConfig(file, { kind: null, secrets: true });
  t.strictSame(
    problems.map(({ file: where, path, line }) => [where.endsWith('p.yaml'), path, line]),
    Array.from({ length: 2 }, () => [true, 'compliance.required_certifications[0]', 2]),
  );
});

t.test('an unknown region, and an endpoint in another one', async (t) => {
  t.match(said(t, AGENT.replace('region: eu-west-1', 'region: eu-wst-1')), [
    /^providers\[0\]\.region: not a known region of aws; did you mean "eu-west-1"\?/,
    /^providers\[0\]\.endpoint: the endpoint is in eu-west-1, the region is eu-wst-1: data_residency/,
  ]);
  const own = AGENT.replaceAll('eu-west-1', 'eu-moon-1');
  t.equal(said(t, own).length, 1);
  const compliance = (more: string): string => `policy: { compliance: { ${more} } }\n`;
  t.strictSame(said(t, own + compliance('own_regions: [eu-moon-1]')), [], 'the policy makes it known');
  t.strictSame(said(t, own + compliance('data_residency: { moon: [eu-moon-1] }')), [], 'or a zone of it');
  const slip = 'data_residency: { eu: [eu-wst-1, eu-west-1] }';
  t.match(said(t, AGENT + compliance(slip)), [
    /data_residency\.eu\[0\]: not a known region.*did you mean "eu-west-1"\? if it is right.*own_regions/,
  ]);
  t.match(
    said(t, AGENT.replace('region: eu-west-1', 'region: eu-wst-1') + compliance(slip)).at(-1) ?? '',
    /eu\[0\]/,
  );
  t.strictSame(said(t, AGENT + compliance(`${slip}, own_regions: [eu-wst-1]`)), []);
  const plant = "  - { name: m, type: mqtt, url: 'mqtts://b', region: eu-wst-1 }\n";
  t.strictSame(said(t, AGENT + plant + compliance(slip)), [], 'the word of a broker’s operator');
  const sqs = "{ name: q, type: aws, region: eu-wst-1, queue_url: 'https://localhost/1/q' }";
  t.match(said(t, `data_dir: /tmp/x\nsources: [${sqs}]\n`), [
    /^sources\[0\]\.region: not a known region of aws; did you mean "eu-west-1"\?/,
  ]);
  for (const [type, rest] of Object.entries({
    azure: `region: westeurop, credentials: { connection_string: '${HUB}' }`,
    gcp: "project: p, region: europe-west-1, endpoint: 'europe-west3-pubsub.googleapis.com:443'",
  })) {
    const found = said(t, `${AGENT}  - { name: x, type: ${type}, ${rest} }\n`);
    t.match(found[0], new RegExp(`region: not a known region of ${type}; did you mean`));
    if (type === 'gcp') t.match(found[1], /endpoint: the endpoint is in europe-west3/);
  }
  const queue =
    "{ name: q, type: aws, region: eu-west-1, queue_url: 'https://sqs.eu-west-2.amazonaws.com/1/q' }";
  t.match(said(t, `data_dir: /tmp/x\nsources: [${queue}]\n`), [
    /^sources\[0\]\.region: the queue is in eu-west-2, the region is eu-west-1; write region: eu-west-2/,
  ]);
});

t.test('a stream that never gets anything', async (t) => {
  const streams = (list: string): string => `${AGENT}policy: { streams: { ${list} } }\n`;
  t.match(said(t, streams("all: { topics: ['#'] }, alarms: { topics: ['+/alarm'] }")), [
    /^policy\.streams\.alarms: never gets a publish: "all" stands before it.*move it before "all"/,
  ]);
  t.strictSame(said(t, streams("alarms: { topics: ['+/alarm'] }, all: { topics: ['#'] }")), []);
  const partly = "a: { topics: ['x/#'] }, b: { topics: ['x/y', 'z'] }, all: { topics: ['#'] }";
  t.strictSame(said(t, streams(partly)), [], 'one of its topics is its own');
});

t.test('one port for two listeners', async (t) => {
  const broker = (list: string): string => `${AGENT}broker: { listeners: [${list}] }\n`;
  t.match(said(t, broker('{ type: tcp, port: 1883 }, { type: ws, port: 1883 }')), [
    /^broker\.listeners\[1\]: port 1883 of 127\.0\.0\.1 is taken by broker\.listeners\.0/,
  ]);
  t.match(said(t, broker('{ type: tcp, port: 9464 }')), [/^admin\.port: port 9464/]);
  t.strictSame(said(t, broker('{ type: tcp, port: 0 }, { type: ws, port: 0 }')), []);
  t.match(said(t, `${ROUTER}admin: { port: 1883 }\n`), []);
});

t.test('files and folders that are not there', async (t) => {
  const dir = folderWith(t, { 'key.pem': 'k' });
  const https = (key: string): string =>
    `${AGENT}  - { name: r, type: https, url: 'https://r.example', token_key_file: ${key} }\n`;
  t.match(said(t, https(`${dir}/none.pem`)), [
    /^providers\[1\]\.token_key_file: the file cannot be read \(ENOENT\)/,
  ]);
  t.strictSame(said(t, https(`${dir}/key.pem`)), []);
  t.strictSame(said(t, https(`${dir}/none.pem`), false), [], 'not with --no-secrets');
  t.match(said(t, `${ROUTER}feeds: [{ name: f, type: ndjson, file: ${dir}/no/f.ndjson }]\n`), [
    /^feeds\[0\]\.file: the folder .*\/no is not there/,
  ]);
  t.match(said(t, AGENT.replace('/tmp/x', './data')), [/^data_dir: a relative path depends on/]);
  t.match(said(t, AGENT.replace('/tmp/x', '/nowhere/at/all')), [/^data_dir: the folder \/nowhere\/at/]);
});

t.test('--no-secrets says nothing of references that lead nowhere, and the rest', async (t) => {
  const text = `${AGENT.replace('eu-west-1,', 'eu-wst-1,')}  - name: hub
    type: azure
    region: westeurope
    credentials: { connection_string: "\${HEADGATE_TEST_UNSET}" }
  - name: broker
    type: mqtt
    url: "mqtts://\${HEADGATE_TEST_HOST}:8883"
    password: file:\${CREDENTIALS_DIRECTORY}/mqtt
admin: { port: "\${HEADGATE_TEST_PORT}" }
`;
  const file = join(folderWith(t, { 'c.yaml': text }), 'c.yaml');
  const all = await command(['config', 'check', file]);
  t.match(all, { code: 78, stderr: /HEADGATE_TEST_UNSET is not set/ });
  const without = await command(['config', 'check', '--no-secrets', '--json', file]);
  t.equal(without.code, 78);
  t.strictSame(
    JSON.parse(without.stdout).problems.map(({ path }: { path: string }) => path),
    ['providers[0].region', 'providers[0].endpoint'],
  );
});

t.test('a duration or a size without its unit', async (t) => {
  t.match(said(t, `${AGENT}broker: { connect_timeout: 5, max_packet_bytes: 65536 }\n`), [
    /^broker\.connect_timeout: expected .*; write 5s, with its unit: ms, s, m, h or d/,
    /^broker\.max_packet_bytes: expected .*; write 65536B, with its unit/,
  ]);
  t.match(said(t, `${AGENT}policy: { failover: { deadline_min: "750" } }\n`), [/write 750ms, with its unit/]);
});

t.test('a name that is authenticated and is not the gateway’s', async (t) => {
  const ca = await createCertificateAuthority(systemClock, systemEntropy);
  const [own, other] = [await ca.issue('gw-1', 'client'), await ca.issue('plant-7', 'client')];
  const dir = folderWith(t, {
    'own.crt': own.cert,
    'other.crt': other.cert,
    'k.key': other.key,
    'token.key': other.key,
  });
  const provider = (type: string, rest: string): string =>
    `${AGENT}  - { name: x, type: ${type}, ${rest} }\n`;
  const azure = (device: string, more = ''): string =>
    provider(
      'azure',
      `region: westeurope, credentials: { connection_string: '${HUB.replace('gw-1', device)}' }${more}`,
    );
  t.strictSame(said(t, azure('gw-1')), []);
  t.match(said(t, azure('plant-7')), [
    /^providers\[1\]\.credentials\.connection_string: the device is "plant-7", and the gateway is "gw-1": .*dead letters \(foreign-gateway\); .*identities: \{ plant-7: gw-1 \} at the router's source, and write identity: plant-7 here/,
  ]);
  t.strictSame(said(t, azure('plant-7', ', identity: plant-7')), [], 'the router maps it');
  t.match(said(t, azure('gw-1', ', identity: plant-7')), [
    /the device is "gw-1", and the identity is "plant-7"/,
  ]);
  t.match(said(t, azure('gw-1', ', device_id: plant-7')), [
    /^providers\[1\]\.device_id: the device is "plant-7"/,
  ]);
  const next = `, next_credentials: { connection_string: '${HUB.replace('gw-1', 'plant-8')}' }`;
  t.match(said(t, azure('gw-1', next)), [/^providers\[1\]\.next_credentials\..*"plant-8"/]);

  const x509 = (cert: string, device = 'gw-1'): string =>
    provider(
      'azure',
      `region: westeurope, credentials: { x509: { host_name: h, device_id: ${device}, cert_file: ${dir}/${cert}, key_file: ${dir}/k.key } }`,
    );
  t.strictSame(said(t, x509('own.crt')), []);
  t.match(said(t, x509('other.crt')), [
    /x509\.cert_file: the common name of the certificate is "plant-7", the device is "gw-1": IoT Hub refuses it/,
  ]);
  t.match(said(t, x509('other.crt', 'plant-7')), [/x509\.device_id: the device is "plant-7"/]);

  const https = (cert: string, more = ''): string =>
    provider('https', `url: 'https://r.example', cert_file: ${dir}/${cert}, key_file: ${dir}/k.key${more}`);
  t.strictSame(said(t, https('own.crt')), []);
  t.match(said(t, https('other.crt')), [
    /^providers\[1\]\.cert_file: the common name of the certificate is "plant-7"/,
  ]);
  t.strictSame(said(t, https('other.crt'), false), [], 'files are left out with --no-secrets');
  t.strictSame(said(t, https('other.crt', ', identity: plant-7')), []);
  const downlink = (cert: string): string =>
    `${AGENT}downlinks: [{ name: d, type: https, url: 'https://r.example', cert_file: ${dir}/${cert}, key_file: ${dir}/k.key }]\n`;
  t.strictSame(said(t, downlink('own.crt')), []);
  t.match(said(t, downlink('other.crt')), [/^downlinks\[0\]\.cert_file: .*"plant-7".*receipts are answered/]);

  const thing = (more: string): string =>
    provider('mqtt', `url: 'mqtts://a-ats.iot.eu-west-1.amazonaws.com:8883'${more}`);
  t.strictSame(said(t, thing(', client_id: gw-1')), []);
  t.match(said(t, thing(', client_id: plant-7')), [/client_id: the client id \(thing\) is "plant-7"/]);
  t.match(said(t, thing('')), [
    /client_id: AWS IoT Core tells the router the client id.*; write client_id: gw-1/,
  ]);
  t.strictSame(
    said(t, provider('mqtt', "url: 'mqtts://broker.example'")),
    [],
    'a broker tells the topic alone',
  );
});

t.test('packets that are larger than the envelopes of a stream’s providers', async (t) => {
  const broker = (max: string): string => `${AGENT}broker: { max_packet_bytes: ${max} }\n`;
  t.match(said(t, broker('200KB')), [
    /^broker\.max_packet_bytes: publishes of the stream "telemetry" above 126096 bytes are refused \(record-too-large\): its providers take envelopes of 126976 bytes, and packets may have 200000; write max_packet_bytes: 126096B/,
  ]);
  t.strictSame(said(t, broker('126096B')), []);
  const larger = `  - { name: m, type: mqtt, url: 'mqtts://b', max_envelope_bytes: 1MiB }\n`;
  t.strictSame(
    said(t, `${AGENT}${larger}broker: { max_packet_bytes: 200KB }\n`),
    [],
    'one provider takes them',
  );
  const file = join(folderWith(t, { 'c.yaml': AGENT }), 'c.yaml');
  const byDefault = await command(['config', 'check', file]);
  t.match(byDefault, {
    code: 0,
    stdout: /ok \(agent\)\n {2}note: broker\.max_packet_bytes: .*by default packets/,
  });
  const hub = `HostName=h.azure-devices.net;DeviceId=gw-1;SharedAccessKey=a2V5`;
  const azure = `gateway: gw-1
data_dir: /var/lib/headgate
providers:
  - { name: z, type: azure, region: westeurope, credentials: { connection_string: '${hub}' } }
`;
  t.strictSame(said(t, azure), [], 'IoT Hub takes as much as a packet has by default, but for the envelope');
  t.match(said(t, `${azure}broker: { max_packet_bytes: 256KiB }\n`), [/write max_packet_bytes: 260\d{3}B/]);
});
