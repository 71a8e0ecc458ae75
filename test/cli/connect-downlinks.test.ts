/** `config check --connect` of an agent's downlinks: a receipt is asked for, and stays. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import t from 'tap';
import { agentConfigSchema } from '../../agent/config/config.ts';
import { downlinkParts } from '../../cli/check/connect-downlinks.ts';
import { runPhases } from '../../shared/connect-check/phases.ts';
import { makeReceiptTopic, SUBSCRIPTION, TOPIC } from '../agent/downlink/subscription-support.ts';
import { deps, startGcp } from '../loopback/gcp-support.ts';
import { startAws } from '../loopback/start-aws.ts';
import { ROUTER } from '../router/receipts/support.ts';
import { startApi } from '../router/sources/https/support.ts';

const accepting = { accept: 'signed', router_keys: [pem(ROUTER.publicKey)] };

function pem(key: KeyObject): string {
  return String(key.export({ type: 'spki', format: 'pem' }));
}

async function checked(downlink: object, gateway = 'gw-1', receipts: object = accepting) {
  const providers = [{ type: 'mqtt', name: 'any', url: 'mqtt://127.0.0.1:1' }];
  const config = agentConfigSchema.parse({
    ...{ gateway, data_dir: '/nowhere', providers, receipts },
    downlinks: [{ name: 'down', ...downlink }],
  });
  const results = [];
  for (const part of downlinkParts(config, deps)) {
    const running = { clock: deps.clock, onPhase: () => undefined, clean: (text: string) => text };
    const { passed, problem } = await runPhases(part, running);
    results.push({
      phases: passed.map(({ phase }) => phase).join(' '),
      note: passed.at(-1)?.note,
      problem,
    });
  }
  return results;
}

t.test('the long poll at a router', async (t) => {
  const { url, caFile, certificate, keyFile } = await startApi(t);
  const own = await certificate('gw-1');
  const downlink = { type: 'https', url, ca_file: caFile };
  t.match(await checked({ ...downlink, ...own }), [
    {
      phases: 'resolve connect tls read',
      note: 'the router has a receipt, signed by a known router',
      problem: null,
    },
  ]);
  t.match(await checked({ ...downlink, ...own }, 'gw-1', {}), [
    { note: 'the router has a receipt (unknown-key)' },
  ]);
  const other = pem(generateKeyPairSync('ed25519').publicKey);
  t.match(await checked({ ...downlink, ...own }, 'gw-1', { accept: 'signed', router_keys: [other] }), [
    { problem: { phase: 'read', message: 'a receipt that does not count: unknown-key' } },
  ]);
  t.match(await checked({ ...downlink, token_key_file: keyFile('gw-1') }), [{ problem: null }]);
  t.match(await checked({ ...downlink, ...own }, 'gw-2'), [
    { problem: { phase: 'read', option: 'downlinks.down.cert_file', message: /^HTTP 40[13]/ } },
  ]);
});

t.test('a shadow', async (t) => {
  const { endpoint, region, ca_file, credentials } = (await startAws(t)).agent;
  const downlink = { type: 'aws', endpoint, region, ca_file, credentials };
  t.match(await checked(downlink), [{ phases: 'resolve connect tls read', note: 'there is no shadow yet' }]);
  const unknown = { access_key_id: 'AKIAUNKNOWN', secret_access_key: 'unknown-too' };
  t.match(await checked({ ...downlink, credentials: unknown }), [
    { problem: { phase: 'read', option: 'downlinks.down.credentials', message: /^HTTP 403/ } },
  ]);
});

t.test('a subscription', async (t) => {
  const { agent, router } = await startGcp(t);
  const pubsub = await makeReceiptTopic(t, router);
  const { endpoint, project, ca_file, credentials } = agent;
  const downlink = { type: 'gcp', subscription: SUBSCRIPTION, endpoint, project, ca_file, credentials };
  t.match(await checked(downlink), [{ note: 'no message waited', problem: null }]);
  await pubsub.topic(TOPIC).publishMessage({ data: Buffer.from('one') });
  for (const delivery of [1, 2])
    t.match(await checked(downlink), [
      { note: `a message was read and given back: its delivery ${delivery}` },
    ]);
});

t.test('a twin is read by the connection of its provider', async (t) => {
  const twin = { type: 'azure' as const, name: 'twin', provider: 'azure' };
  t.same(downlinkParts({ gateway: 'gw-1', downlinks: [twin], receipts: {} }, deps), []);
});
