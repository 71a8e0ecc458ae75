/**
 * Receipts through a shadow: the router's carrier on one side of the loopback AWS, a gateway's downlink on
 * the other.
 */
import t, { type Test } from 'tap';
import type { ReceiptTrust } from '../../../agent/downlink/receiver.ts';
import { fault } from '../../../loopback/faults.ts';
import { ShadowCarrier, shadowOptions } from '../../../router/receipts/shadow.ts';
import { fitted } from '../../../router/receipts/shorten.ts';
import { type Clock, systemClock } from '../../../shared/clock.ts';
import type { Receipt } from '../../../shared/receipt.ts';
import { keyIdOf } from '../../../shared/signing/signature.ts';
import { deps } from '../../loopback/gcp-support.ts';
import { type RunningAws, startAws } from '../../loopback/start-aws.ts';
import { carriage, FORM_WITH_COPY, ROUTER } from '../../router/receipts/support.ts';
import { until } from '../../until.ts';
import { NOW_MS, nothingForgedCounts } from './hostile.ts';
import { events, never, openConfigured, receipt, TIMELESS, TRUST } from './support.ts';

function access({ agent }: RunningAws) {
  const { region, endpoint, ca_file, credentials } = agent;
  return { region, endpoint, ca_file, credentials };
}

function open(t: Test, aws: RunningAws, options: Record<string, unknown> = {}, clock?: Clock) {
  const config = { type: 'aws', name: 'shadow', interval: '1s', ...access(aws), ...options };
  return openConfigured(t, config, { ...(clock && { clock }) });
}

function carrierTo(t: Test, aws: RunningAws, options: Record<string, unknown> = {}): ShadowCarrier {
  const carrier = new ShadowCarrier(shadowOptions.parse({ ...access(aws), ...options }), deps);
  t.teardown(() => carrier.close());
  return carrier;
}

t.test('a receipt arrives as it left, once; one that is older, foreign or none is dropped', async (t) => {
  const aws = await startAws(t);
  const { downlink, receipts, receiver, told } = await open(t, aws);
  await until('the downlink is up', () => downlink.isUp);
  t.match(
    receiver.counts,
    { applied: 0, old: 0, malformed: 0, implausible: 0, foreign: 0 },
    'no shadow is no problem',
  );
  const carrier = carrierTo(t, aws);
  t.same(await carrier.send(carriage(receipt(5)), never), { kind: 'sent' });
  await until('receipt 1 came', () => receipts.length === 1);
  t.same(receipts, [receipt(5)]);
  const requests = aws.cloud.meter().requests;
  await until('the shadow was looked at twice more', () => aws.cloud.meter().requests >= requests + 2);
  t.equal(receiver.counts.old, 0, 'one that was there the last time is not looked at again');
  await carrier.send(carriage(receipt(9, 'gw-2')), never);
  await carrier.send(carriage(receipt(4)), never);
  await until('1 counted as old', () => receiver.counts.old === 1);
  await carrier.send(
    carriage({ ...receipt(6), streams: [{ ...receipt(6).streams[0], epoch: '?' }] } as Receipt),
    never,
  );
  await until('1 counted as malformed', () => receiver.counts.malformed === 1);
  await carrier.send(carriage(receipt(7)), never);
  await until('receipt 2 came', () => receipts.length === 2);
  t.same(receipts[1], receipt(7));
  t.equal(told(), 2);
});

t.test('a receipt that is cut to what a shadow takes is taken (I10)', async (t) => {
  const aws = await startAws(t);
  const carrier = carrierTo(t, aws);
  const whole = receipt(5, 'gw-1', 1000);
  t.match(await carrier.send(carriage(whole, FORM_WITH_COPY), never), { kind: 'refused', problem: /413/ });
  const cut = fitted(
    whole,
    () => 0,
    (one) => carriage(one, FORM_WITH_COPY).text.length <= carrier.bytesMax,
  );
  t.same(await carrier.send(carriage(cut, FORM_WITH_COPY), never), { kind: 'sent' });
  const { receipts } = await open(t, aws);
  await until('receipt 1 came', () => receipts.length === 1);
  t.same(receipts, [cut]);
  t.ok((cut.streams[0]?.missing.length ?? 0) >= 100, 'as many ranges as one stream ever has');
});

t.test('AWS that goes away is told, and found again; the newest is there', async (t) => {
  const aws = await startAws(t);
  const carrier = carrierTo(t, aws);
  const { downlink, receipts, lines } = await open(t, aws);
  await carrier.send(carriage(receipt(1)), never);
  await until('receipt 1 came and the downlink is up', () => receipts.length === 1 && downlink.isUp);
  await aws.cloud.setFault(fault('throttle'));
  await until('the downlink is down', () => !downlink.isUp);
  t.match(await carrier.send(carriage(receipt(2)), never), { kind: 'failed', problem: /429/ });
  await aws.cloud.setFault(null);
  await carrier.send(carriage(receipt(2)), never);
  await carrier.send(carriage(receipt(3)), never);
  await until('the newest receipt came', () => receipts.at(-1)?.version === 3 && downlink.isUp);
  t.same(events(lines), ['downlink.up', 'downlink.down', 'downlink.up'], 'one line for each change');
});

t.test('credentials that are refused give way to the next ones, and are never shown', async (t) => {
  const aws = await startAws(t);
  await carrierTo(t, aws).send(carriage(receipt(1)), never);
  const wrong = { access_key_id: 'AKIAWRONG', secret_access_key: 'not-the-secret' };
  const { receipts, lines } = await open(t, aws, {
    credentials: wrong,
    next_credentials: aws.agent.credentials,
  });
  await until('receipt 1 came', () => receipts.length === 1);
  t.match(lines[0], /downlink.down.*HTTP 403/);
  t.notMatch(lines.join(), /not-the-secret/);
  const refused = await carrierTo(t, aws, { credentials: wrong }).send(carriage(receipt(2)), never);
  t.match(refused, { kind: 'failed', problem: /403/ }, 'of the login, and so of every gateway');
});

t.test('a clock that is far off costs one question, not the credentials (I7)', async (t) => {
  const later: Clock = { ...systemClock, wallMs: () => systemClock.wallMs() + 3_600_000 };
  const aws = await startAws(t, later);
  const { receipts, lines } = await open(t, aws);
  const carrier = carrierTo(t, aws);
  await carrier.send(carriage(receipt(1)), never);
  t.same(await carrier.send(carriage(receipt(1)), never), { kind: 'sent' });
  await until('receipt 1 came', () => receipts.length === 1);
  t.equal(lines.filter((line) => line.includes('downlink.down')).length, 1);
});

t.test('a send and a stop end at once, and a file that is missing stops nothing (I9)', async (t) => {
  const aws = await startAws(t);
  await aws.cloud.setFault(fault('blackhole'));
  const { downlink } = await open(t, aws, {}, TIMELESS);
  const abort = new AbortController();
  const sending = carrierTo(t, aws).send(carriage(receipt(1)), abort.signal);
  abort.abort();
  t.match(await sending, { kind: 'failed' });
  await downlink.stop();
  const { lines } = await open(t, aws, { ca_file: '/nowhere/ca.pem' });
  await until('a line is logged', () => lines.length > 0);
  t.match(lines[0], /ENOENT/);
  t.match(await carrierTo(t, aws, { ca_file: '/nowhere/ca.pem' }).send(carriage(receipt(1)), never), {
    kind: 'failed',
    problem: /ENOENT/,
  });
});

t.test('nothing in a shadow counts but what the router signed for this gateway', async (t) => {
  const aws = await startAws(t);
  const carrier = carrierTo(t, aws);
  const config = { type: 'aws', name: 'shadow', interval: '1s', ...access(aws) };
  const { receiver, receipts } = await openConfigured(t, config, { wallMs: NOW_MS });
  const put = (text: string) => carrier.send({ gateway: 'gw-1', text }, never);
  await nothingForgedCounts(t, { receiver, receipts, put });
});

t.test('a receipt whose key comes later counts then, although it stays in its place', async (t) => {
  const aws = await startAws(t);
  await carrierTo(t, aws).send(carriage(receipt(5)), never);
  const known = new Set<string>();
  const keyOf: ReceiptTrust['keyOf'] = (keyId) => (known.has(keyId) ? TRUST.keyOf(keyId) : null);
  const trust: ReceiptTrust = { accept: 'signed', keyOf };
  const config = { type: 'aws', name: 'shadow', interval: '1s', ...access(aws) };
  const { receiver, receipts } = await openConfigured(t, config, { trust });
  await until('it was dropped', () => receiver.counts['unknown-key'] === 1);
  known.add(keyIdOf(ROUTER.publicKey));
  await until('it counts', () => receipts.length === 1);
});
