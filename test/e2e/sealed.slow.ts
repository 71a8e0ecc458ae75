/**
 * A sealed stream from a real agent to a real router, through a provider of each type, one failing after the
 * other: all records come out of a feed byte for byte, and nothing of them stands in what a cloud stored.
 * Then the router's key is changed while both run.
 */
import { randomBytes } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connectAsync } from 'mqtt';
import t, { type Test } from 'tap';
import { z } from 'zod';
import { fault } from '../../loopback/faults.ts';
import { decodeEnvelope } from '../../shared/envelope/codec.ts';
import { HEARTBEAT_STREAM } from '../../shared/envelope/envelope.ts';
import { openFrame, versionOf } from '../../shared/envelope/frame.ts';
import type { Program } from '../attack/world/program.ts';
import { headgate } from '../cli/run.ts';
import { FIVE, type Keeper, startFiveClouds } from '../five-clouds.ts';
import { freePort } from '../servers/free-port.ts';
import { testDir } from '../test-dir.ts';
import { until } from '../until.ts';
import { restartedPrograms } from './restarted-programs.ts';

const READINGS = 12;
/** Texts that no cloud may have. */
const SECRETS = { device: 'monitor-bed-7', topic: 'ward/bed-7/pulse', payload: 'Mrs Example' };
const REFUSED = fault('refuse');

const line = z.object({
  stream: z.string(),
  device: z.string(),
  topic: z.string(),
  payload: z.string().optional(),
  payload_base64: z.string().optional(),
});
const buffered = z.object({ buffer: z.object({ rows: z.number() }) });
const retried = z.object({ committed: z.number(), refused: z.number(), failed: z.number() });

/** The command's stdout; throws where it failed. */
async function output(...words: string[]): Promise<string> {
  const { code, stdout, stderr } = await headgate(words);
  if (code !== 0) throw new Error(`headgate ${words.join(' ')}: ${stderr}`);
  return stdout;
}

async function createPlant(t: Test) {
  const dir = testDir(t);
  const stored: Record<Keeper, string[]> = { aws: [], azure: [], gcp: [], mqtt: [] };
  const five = await startFiveClouds(dir, 'gw-1', (where, message) => stored[where].push(message));
  t.teardown(() => five.stop());
  const [routerData, agentData] = [join(dir, 'router', 'data'), join(dir, 'agent', 'data')];
  for (const folder of [routerData, agentData]) mkdirSync(folder, { recursive: true, mode: 0o700 });
  const sealKeys = (...words: string[]) => output('keys', ...words, '--seal', '--data-dir', routerData);
  await sealKeys('new');
  await output('keys', 'new', '--data-dir', agentData);
  const gatewaysFile = join(dir, 'gateways.yaml');
  writeFileSync(gatewaysFile, await output('keys', 'export', '--data-dir', agentData, '--gateway', 'gw-1'));
  const feedFile = join(dir, 'records.ndjson');
  const programs = restartedPrograms(t, dir);
  const start: typeof programs.start = async (kind, config) => {
    const program = await programs.start(kind, config);
    await until(`the ${kind} is ready`, () => fetch(`${program.url}/readyz`).then(({ ok }) => ok));
    return program;
  };
  const router = await start('router', {
    sources: five.sources.map((source) => ({ ...source, accept: 'signed' })),
    gateways_file: gatewaysFile,
    sealing: { required_streams: ['patients'] },
    feeds: [{ name: 'file', type: 'ndjson', file: feedFile }],
  });
  const port = await freePort();
  const startAgent = (sealKey: string): Promise<Program> =>
    start('agent', {
      gateway: 'gw-1',
      broker: { allow_anonymous: true, listeners: [{ type: 'tcp', host: '127.0.0.1', port }] },
      providers: five.providers,
      signing: { envelopes: true },
      router_seal_keys: [sealKey],
      policy: {
        streams: {
          open: { topics: ['open/#'], preferred_providers: ['aws'] },
          patients: { topics: ['#'], seal: true, preferred_providers: [...FIVE] },
        },
        failover: { dwell: '100ms' },
      },
    });
  const sent: string[] = [];
  /** Half of the payloads are no text. */
  const publish = async (): Promise<void> => {
    const device = await connectAsync(`mqtt://127.0.0.1:${port}`, { clientId: SECRETS.device });
    const payloads = Array.from({ length: READINGS }, (_, i) => {
      const text = Buffer.from(`${SECRETS.payload}: ${sent.length + i}`);
      return i % 2 === 0 ? text : Buffer.concat([text, Buffer.of(0xff, 0), randomBytes(20)]);
    });
    await Promise.all(payloads.map((payload) => device.publishAsync(SECRETS.topic, payload, { qos: 1 })));
    await device.endAsync();
    sent.push(...payloads.map((payload) => payload.toString('hex')));
  };
  /** Payloads of the sealed stream that came out of the feed. */
  const received = (): string[] => {
    const lines = existsSync(feedFile) ? readFileSync(feedFile, 'utf8').split('\n').slice(0, -1) : [];
    return lines
      .map((text) => line.parse(JSON.parse(text)))
      .filter(
        ({ stream, device, topic }) =>
          stream === 'patients' && device === SECRETS.device && topic === SECRETS.topic,
      )
      .map(({ payload, payload_base64: base64 }) =>
        (base64 === undefined ? Buffer.from(payload ?? '') : Buffer.from(base64, 'base64')).toString('hex'),
      );
  };
  const arrived = (): Promise<unknown> =>
    until(`${sent.length} records are out of the feed`, () => received().length >= sent.length);
  return { five, stored, router, startAgent, port, sealKeys, routerData, publish, sent, received, arrived };
}

type Plant = Awaited<ReturnType<typeof createPlant>>;

const frameOf = (message: string): Buffer => Buffer.from(JSON.parse(message).data, 'base64');
const streamOf = (frame: Buffer): string | undefined => openFrame(frame).outer?.stream;

/** Each provider in turn, and then it fails. */
async function throughAll(t: Test, { five, stored, router, publish, arrived }: Plant): Promise<void> {
  for (const provider of FIVE) {
    await publish();
    await arrived();
    if (provider === 'https') continue;
    const frames = stored[provider].map(frameOf).filter((frame) => streamOf(frame) === 'patients');
    t.ok(frames.length > 0, `${provider} had some`);
    if (provider === 'mqtt') await five.stopBroker();
    else await five.clouds[provider].setFault(REFUSED);
  }
  const own = await router.metric('headgate_router_sealed_total', 'source="https"');
  t.ok(own > 0, 'https had some');
}

/** No text of a record in what is stored: names, sizes and ciphertext. */
function nothingInClear(t: Test, { stored }: Plant): void {
  for (const [where, messages] of Object.entries(stored)) {
    const frames = messages.map((message) => ({ message, frame: frameOf(message) }));
    const sealed = frames.filter(({ frame }) => streamOf(frame) === 'patients');
    t.ok(sealed.length > 0, where);
    t.same(new Set(sealed.map(({ frame }) => versionOf(frame))), new Set([3]), `${where}: sealed`);
    for (const { frame } of sealed) t.throws(() => decodeEnvelope(frame), /sealed to/);
    const texts = [...sealed, ...frames.filter(({ frame }) => streamOf(frame) === HEARTBEAT_STREAM)];
    for (const { message, frame } of texts) {
      const all = `${message} ${frame.toString('latin1')}`;
      for (const [what, secret] of Object.entries(SECRETS))
        if (all.includes(secret)) t.fail(`${where} has the ${what}`);
    }
  }
}

/** Proof that the look into the clouds would find a record in clear. */
async function openOneIsSeen({ stored, port }: Plant, t: Test): Promise<void> {
  const device = await connectAsync(`mqtt://127.0.0.1:${port}`, { clientId: 'meter' });
  await device.publishAsync('open/a', 'in clear', { qos: 1 });
  await device.endAsync();
  const found = await until('a record in clear is stored', () =>
    stored.aws.map(frameOf).find((frame) => streamOf(frame) === 'open'),
  );
  t.match(decodeEnvelope(found).records, [{ topic: 'open/a' }]);
}

/** The router's key is changed: what is sealed to the old one waits as dead letters, or at the agent. */
async function changeKey(t: Test, plant: Plant, agent: Program): Promise<void> {
  const { five, router, startAgent, sealKeys, routerData, publish, arrived } = plant;
  const keys = (count: number): Promise<unknown> =>
    until(
      `the router has ${count} keys`,
      async () => (await router.metric('headgate_router_seal_keys')) === count,
    );
  const rows = async (): Promise<number> => buffered.parse(await agent.ask('/v1/status')).buffer.rows;
  const letters = (source: string): Promise<number> =>
    router.metric('headgate_router_dead_letters_total', `source="${source}",reason="seal-key"`);
  const [old] = JSON.parse(await sealKeys('ls', '--json'));
  const copy = join(routerData, 'copy.pem');
  copyFileSync(old.file, copy);
  const made = JSON.parse(await sealKeys('new', '--json'));
  await keys(2);
  await publish();
  await arrived();
  await sealKeys('rm', old.keyId);
  await keys(1);
  await five.clouds.aws.setFault(null);

  // A cloud took them, and the router has no key: kept as they came.
  await publish();
  await until('they are dead letters', async () => (await letters('aws')) > 0);
  await until('and left the buffer', async () => (await rows()) === 0);
  const shown = await output('deadletter', 'ls', '--reason', 'seal-key', '--config', router.configFile);
  t.match(shown, `sealed to ${old.keyId}`);
  copyFileSync(copy, old.file);
  await keys(2);
  const retry = await output(
    'deadletter',
    'retry',
    '--reason',
    'seal-key',
    '--json',
    '--config',
    router.configFile,
  );
  t.match(retried.parse(JSON.parse(retry)), { refused: 0, failed: 0 });
  await arrived();

  // No cloud takes them, and the router refuses them: they wait, and leave under the new key.
  await sealKeys('rm', old.keyId);
  await keys(1);
  await five.clouds.aws.setFault(REFUSED);
  const before = await letters('https');
  await publish();
  await until('the router refused them', async () => (await letters('https')) > before);
  t.ok((await rows()) >= READINGS, 'they wait at the agent');
  await startAgent(made.publicKey);
  await arrived();
}

t.test('sealed through five types of provider, and through a change of the key', async (t) => {
  const plant = await createPlant(t);
  const [{ publicKey }] = JSON.parse(await plant.sealKeys('ls', '--json'));
  const agent = await plant.startAgent(publicKey);
  await openOneIsSeen(plant, t);
  await throughAll(t, plant);
  await changeKey(t, plant, agent);
  nothingInClear(t, plant);
  t.same(plant.received().toSorted(), plant.sent.toSorted(), 'each record once, byte for byte');
});
