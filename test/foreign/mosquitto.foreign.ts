/** mosquitto_pub and mosquitto_sub against the agent's broker. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Publish } from '../../agent/broker/intake.ts';
import type { BrokerOptions } from '../../agent/broker/options.ts';
import type { Sessions } from '../../agent/broker/persistence/sessions.ts';
import { sessionsOn, startBroker } from '../agent/broker/fixture.ts';
import { authority, startTls, stranger } from '../agent/broker/listeners/tls-fixture.ts';
import { testDir } from '../test-dir.ts';
import { until } from '../until.ts';
import { runTool } from './tools.ts';

const INSTALL = 'apt-get install mosquitto-clients';
const pub = (...args: string[]) => runTool('mosquitto_pub', args, INSTALL);
const sub = (...args: string[]) => runTool('mosquitto_sub', args, INSTALL);

async function started(t: Test): Promise<{ taken: Publish[]; to: string[]; sessions: Sessions }> {
  const taken: Publish[] = [];
  const sessions = sessionsOn();
  const intake: BrokerOptions['intake'] = (publish, settled) => {
    taken.push(publish);
    settled(null);
  };
  const { broker, port } = await startBroker(intake, { sessions });
  t.teardown(() => broker.stop());
  return { taken, sessions, to: ['-h', '127.0.0.1', '-p', String(port)] };
}

const seen = (taken: readonly Publish[]) =>
  taken.map(
    ({ device, topic, qos, payload }) => `${device} ${topic} ${qos} ${Buffer.from(payload).toString('hex')}`,
  );

t.test('QoS 0, 1 and 2 are recorded; a persistent session gets what it missed', async (t) => {
  const { taken, to } = await started(t);
  const session = [...to, '-i', 'reader', '-c', '-q', '2', '-t', 'plant/#', '-t', 'grün/+'];
  await sub(...session, '-E');
  for (const qos of ['0', '1', '2'])
    await pub(...to, '-i', 'pump', '-t', `plant/${qos}`, '-q', qos, '-m', `ü${qos}`);
  await pub(...to, '-i', 'pump', '-t', 'grün/温度', '-q', '1', '-n');
  t.same(seen(taken), [
    'pump plant/0 0 c3bc30',
    'pump plant/1 1 c3bc31',
    'pump plant/2 2 c3bc32',
    'pump grün/温度 1 ',
  ]);
  const missed = await sub(...session, '-C', '3', '-F', '%q %r %t %x');
  // Messages of different QoS may overtake each other: a QoS 2 one counts with its PUBREL.
  const lines = missed.trim().split('\n');
  t.same(
    new Set(lines.map((line) => line.trim())),
    new Set(['1 0 plant/1 c3bc31', '2 0 plant/2 c3bc32', '1 0 grün/温度']),
  );
});

t.test('retained messages: kept, replaced, cleared', async (t) => {
  const { to } = await started(t);
  for (const text of ['old', 'new']) await pub(...to, '-t', 'state/a', '-r', '-q', '1', '-m', text);
  await pub(...to, '-t', 'state/b', '-r', '-m', 'b');
  const read = () => sub(...to, '-t', 'state/#', '--retained-only', '-W', '2', '-C', '2', '-F', '%r %t %p');
  t.same((await read()).trim().split('\n').toSorted(byText), ['1 state/a new', '1 state/b b']);
  await pub(...to, '-t', 'state/b', '-r', '-n');
  const left = await sub(...to, '-t', 'state/#', '-C', '1', '-F', '%r %t %p');
  t.equal(left.trim(), '1 state/a new');
});

t.test('a will is published when the client dies, and not when it says goodbye', async (t) => {
  const { taken, sessions, to } = await started(t);
  const will = ['--will-topic', 'gone', '--will-payload', 'by', '--will-qos', '1'];
  await pub(...to, '-i', 'polite', ...will, '-t', 'hello', '-q', '1', '-m', 'x');
  const child = spawn('mosquitto_sub', [...to, '-i', 'dying', ...will, '-t', 'any'], { stdio: 'ignore' });
  t.teardown(() => child.kill('SIGKILL'));
  await until('it has subscribed', () => sessions.subscribedTopics.matches('any'));
  child.kill('SIGKILL');
  await once(child, 'close');
  await until('the will is recorded', () => taken.length === 2);
  t.same(seen(taken), ['polite hello 1 78', 'dying gone 1 6279']);
});

t.test('TLS with a client certificate; no entry with one of a stranger', async (t) => {
  const { port, taken } = await startTls(t, 'certificate');
  const files = async (issuer: typeof authority) => {
    const { cert, key } = await issuer.issue('pump-1', 'client');
    // The listener's own files are in the same folder, and it follows them.
    const own = { 'client-ca.pem': authority.ca, 'client-cert.pem': cert, 'client-key.pem': key };
    const dir = testDir(t, own);
    return ['--cafile', 'client-ca.pem', '--cert', 'client-cert.pem', '--key', 'client-key.pem'].map((arg) =>
      arg.endsWith('.pem') ? join(dir, arg) : arg,
    );
  };
  const to = [
    '-h',
    'localhost',
    '-p',
    String(port),
    '-i',
    'pump-1',
    '-q',
    '1',
    '-t',
    'devices/pump-1/x',
    '-m',
    'x',
  ];
  await pub(...to, ...(await files(authority)));
  t.same(seen(taken), ['pump-1 devices/pump-1/x 1 78']);
  await t.rejects(pub(...to, ...(await files(stranger))));
  t.equal(taken.length, 1);
});

const byText = (a: string, b: string): number => a.localeCompare(b);
