/** Receipts that no router signed for this gateway, before a real store: they free and send nothing (I3). */
import t from 'tap';
import { ReceiptReceiver } from '../../../agent/downlink/receiver.ts';
import { createLogger } from '../../../shared/log.ts';
import type { Receipt } from '../../../shared/receipt.ts';
import { FORM } from '../../router/receipts/support.ts';
import { testDir } from '../../test-dir.ts';
import { until } from '../../until.ts';
import { FORGER, NOW_MS, plain } from '../downlink/hostile.ts';
import { TRUST } from '../downlink/support.ts';
import { appendAll, bufferFile, texts } from '../store/fixture.ts';
import { type Agent, agentOn, GATEWAY, kept, Router, rows } from './receipts-fixture.ts';

const ROWS = 20;

/** The downlink of an agent that takes signed receipts alone. */
function downlinkOf({ tracker, clock }: Agent) {
  const log = createLogger({ level: 'silent', levels: {} });
  const trustedWallMs = () => NOW_MS;
  const one = new ReceiptReceiver({ gateway: GATEWAY, tracker, trust: TRUST, trustedWallMs, clock, log });
  return (text: string): string => {
    const result = one.receive('shadow', Buffer.from(text));
    if (result === 'applied') tracker.onCloudReceipt();
    return result;
  };
}

t.test('whatever a forged receipt says, rows and gaps stay, and nothing is sent again', async (t) => {
  const router = new Router();
  const agent = await agentOn(t, bufferFile(testDir(t)), { router });
  await appendAll(agent.store, texts(ROWS));
  await until('the records wait for a receipt', () => kept(agent) === ROWS);
  const receive = downlinkOf(agent);
  const sent = agent.acknowledged('a') + agent.acknowledged('b');
  const genuine = router.receipt();
  const [stream] = genuine.streams;
  if (!stream) throw new Error('the router has a stream');
  const lies: Array<Partial<typeof stream>> = [
    {},
    { to: 1_000_000 },
    { missing: [{ first: 1, last: ROWS }] },
    { givenUp: [{ first: 1, last: ROWS }] },
    { to: ROWS, sealedAt: ROWS },
    { to: 0 },
  ];
  let version = NOW_MS;
  for (const lie of lies) {
    version += 1;
    const receipt: Receipt = { ...genuine, version, streams: [{ ...stream, ...lie }] };
    const far = { ...receipt, version: version + 2 * 86_400_000 };
    t.equal(receive(FORGER.text(receipt)), 'unknown-key');
    t.equal(receive(plain(receipt)), 'unsigned');
    t.equal(receive(FORM.text({ ...receipt, gateway: 'gw-2' })), 'foreign');
    t.equal(receive(FORM.text(far)), 'implausible');
  }
  t.equal(kept(agent), ROWS);
  await appendAll(agent.store, texts(1));
  await until('a further record waits too', () => kept(agent) === ROWS + 1);
  t.equal(await rows(agent), ROWS + 1);
  t.equal(agent.acknowledged('a') + agent.acknowledged('b'), sent + 1, 'only what is new was sent');
  const next = { ...router.receipt(), version: NOW_MS };
  t.equal(receive(FORM.text(next)), 'applied', 'the genuine one is not shut out');
  await until('its rows are freed', async () => (await rows(agent)) === 0);
  t.equal(receive(FORM.text({ ...genuine, version: NOW_MS - 1 })), 'old', 'an older one, played again');
  t.equal(agent.acknowledged('a') + agent.acknowledged('b'), sent + 1);
});

t.test('a receipt frees no gap that the gateway did not announce', async (t) => {
  const router = new Router();
  const agent = await agentOn(t, bufferFile(testDir(t)), { router });
  await appendAll(agent.store, texts(ROWS));
  await until('the records wait for a receipt', () => kept(agent) === ROWS);
  const receive = downlinkOf(agent);
  const genuine = router.receipt();
  const streams = genuine.streams.map((stream) => ({ ...stream, givenUp: [{ first: 1, last: 5 }] }));
  t.equal(receive(FORM.text({ ...genuine, version: NOW_MS, streams })), 'applied', 'signed by the router');
  await until('the committed rows are freed', async () => (await rows(agent)) === 5);
  t.equal(receive(FORM.text({ ...router.receipt(), version: NOW_MS + 1 })), 'applied');
  await until('the others are, once they are committed', async () => (await rows(agent)) === 0);
});
