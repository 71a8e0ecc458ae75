/**
 * Receipts through a twin: the router's carrier on one side of the loopback IoT hub, a gateway's downlink
 * over its publisher's connection on the other.
 */
import t, { type Test } from 'tap';
import { agentConfigSchema } from '../../../agent/config/config.ts';
import { azureOptions } from '../../../agent/providers/azure/options.ts';
import { openAzurePublisher } from '../../../agent/providers/azure/publisher.ts';
import { CredentialPublisher } from '../../../agent/providers/credentials/rotating-publisher.ts';
import type { Publisher } from '../../../agent/providers/publisher.ts';
import { TwinLink } from '../../../agent/providers/twin-link.ts';
import { fault } from '../../../loopback/faults.ts';
import { fitted } from '../../../router/receipts/shorten.ts';
import { TwinCarrier, twinOptions } from '../../../router/receipts/twin.ts';
import type { Clock } from '../../../shared/clock.ts';
import { TWIN_RECEIPT } from '../../../shared/twin-receipt.ts';
import { attempt } from '../../attempt.ts';
import { brief, clock, envelope, type Fixture, log, startAzure } from '../../loopback/azure-fixture.ts';
import { carriage, FORM_WITH_COPY } from '../../router/receipts/support.ts';
import { until } from '../../until.ts';
import { NOW_MS, nothingForgedCounts } from './hostile.ts';
import { events, never, openConfigured, receipt, TIMELESS } from './support.ts';

const config = { type: 'azure', name: 'twin', provider: 'azure' };
const DEADLINE_MS = 10_000;
/** Of a connection. */
const LIFETIME_MS = 60_000;

function open(t: Test, link: TwinLink, isWaiting = true, clock?: Clock) {
  const twins = new Map([['azure', link]]);
  return openConfigured(t, config, { tracker: { isWaiting }, twins, ...(clock && { clock }) });
}

/** The provider of gw-1, whose connections the link knows. */
async function openPublisher(t: Test, { cloud }: Fixture, link: TwinLink, sessions: Clock = clock) {
  const options = azureOptions.parse(cloud.agentConfig('gw-1'));
  const publisher = await openAzurePublisher(options, {
    clock: sessions,
    log,
    twin: link,
    sessionLifetimeMs: LIFETIME_MS,
  });
  t.teardown(() => publisher.close());
  return publisher;
}

/** How often the link is asked to connect from now on. */
function counted(link: TwinLink): () => number {
  const connect = link.connect.bind(link);
  let count = 0;
  link.connect = (signal) => {
    count += 1;
    return connect(signal);
  };
  return () => count;
}

function unmetered(): TwinLink {
  return new TwinLink(() => undefined);
}

function carrierTo(t: Test, { cloud }: Fixture): TwinCarrier {
  const { name: _name, type: _type, ...options } = cloud.twinConfig();
  const carrier = new TwinCarrier(twinOptions.parse(options), { clock });
  t.teardown(() => carrier.close());
  return carrier;
}

async function published(t: Test, publisher: Publisher): Promise<void> {
  t.equal(brief(await publisher.publish(envelope('a reading'), attempt(DEADLINE_MS))), 'accepted');
}

/** Publishes again where the connection ends under a publish. */
async function publishedAtLast(publisher: Publisher): Promise<void> {
  await until('a publish is accepted', async () => {
    const { kind } = await publisher.publish(envelope('a reading'), attempt(DEADLINE_MS));
    return kind === 'accepted';
  });
}

async function start(t: Test, sessions?: Clock) {
  const azure = await startAzure(t);
  const metered: number[] = [];
  const link = new TwinLink((bytes) => metered.push(bytes));
  const publisher = await openPublisher(t, azure, link, sessions);
  return { azure, link, publisher, carrier: carrierTo(t, azure), metered };
}

t.test('a receipt arrives as it left, once; one that is older, foreign or none is dropped', async (t) => {
  const { azure, link, publisher, carrier } = await start(t);
  await published(t, publisher);
  t.same(await carrier.send(carriage(receipt(5)), never), { kind: 'sent' });
  const { downlink, receipts, receiver, told } = await open(t, link);
  await until('receipt 1 came', () => receipts.length === 1);
  t.same(receipts, [receipt(5)], 'what was there already');
  await until('the downlink is up', () => downlink.isUp);
  t.same(await carrier.send(carriage(receipt(6)), never), { kind: 'sent' });
  await until('receipt 2 came', () => receipts.length === 2);
  t.same(receipts[1], receipt(6), 'what the hub tells of');
  await carrier.send(carriage(receipt(4)), never);
  await until('1 counted as old', () => receiver.counts.old === 1);
  azure.cloud.patchDesired('gw-1', { other: { part0: 'somebody else’s' } });
  azure.cloud.patchDesired('gw-1', { [TWIN_RECEIPT]: { part0: 'no receipt' } });
  await until('1 counted as malformed', () => receiver.counts.malformed === 1);
  await carrier.send(carriage(receipt(7)), never);
  await until('receipt 3 came', () => receipts.length === 3);
  await carrier.send(carriage(receipt(8)), never);
  azure.cloud.patchDesired('gw-1', { other: { part0: 'at the same time' } });
  await until('receipt 4 came', () => receipts.length === 4);
  t.match(receiver.counts, { applied: 4, old: 1, malformed: 1, implausible: 0, foreign: 0 });
  t.equal(told(), 4, 'only what is newer is a word of the router');
});

t.test(
  'a receipt of all that a twin takes arrives, and nothing of it stays with a shorter one (I10)',
  async (t) => {
    const { azure, link, publisher, carrier } = await start(t);
    await published(t, publisher);
    const { receipts } = await open(t, link);
    const whole = receipt(5, 'gw-1', 1000);
    const streams = Array.from({ length: 40 }, (_, i) => ({
      ...whole.streams[0],
      stream: `s${i}`,
      missing: whole.streams[0]?.missing.slice(0, 100) ?? [],
    }));
    const longest = fitted(
      { ...whole, streams } as typeof whole,
      () => 0,
      (one) => carriage(one, FORM_WITH_COPY).text.length <= carrier.bytesMax,
    );
    t.same(await carrier.send(carriage(longest, FORM_WITH_COPY), never), { kind: 'sent' });
    await until('receipt 1 came', () => receipts.length === 1);
    t.same(receipts, [longest]);
    t.ok(JSON.stringify(azure.cloud.twin('gw-1').desired).length > 12_000, 'several pieces');
    await carrier.send(carriage(receipt(6)), never);
    await until('receipt 2 came', () => receipts.length === 2);
    t.same(receipts[1], receipt(6));
    t.same(Object.keys(Object(azure.cloud.twin('gw-1').desired[TWIN_RECEIPT])), ['part0']);
  },
);

t.test(
  'a hub that goes away is told, and found again by the next publish; the newest is there',
  async (t) => {
    const { azure, link, publisher, carrier } = await start(t);
    await published(t, publisher);
    const { downlink, receipts, lines } = await open(t, link);
    await carrier.send(carriage(receipt(1)), never);
    await until('receipt 1 came and the downlink is up', () => receipts.length === 1 && downlink.isUp);
    await azure.cloud.setFault(fault('refuse'));
    await until('the downlink is down', () => !downlink.isUp);
    await carrier.send(carriage(receipt(2)), never);
    await carrier.send(carriage(receipt(3)), never);
    await azure.cloud.setFault(null);
    await until('the newest receipt came', () => receipts.at(-1)?.version === 3 && downlink.isUp);
    await published(t, publisher);
    t.same(events(lines), ['downlink.up', 'downlink.down', 'downlink.up'], 'one line for each change');
  },
);

t.test(
  'what the hub sends of a twin is metered as the hub does: reads and notices, also of others',
  async (t) => {
    const { azure, link, publisher, carrier, metered } = await start(t);
    await published(t, publisher);
    const { receipts } = await open(t, link);
    await until('1 messages are metered', () => metered.length === 1);
    const whole = receipt(5, 'gw-1', 1000);
    await carrier.send(carriage(whole, FORM_WITH_COPY), never);
    await until('receipt 1 came', () => receipts.length === 1);
    azure.cloud.patchDesired('gw-1', { other: { part0: 'somebody else’s' } });
    await until('3 messages are metered', () => metered.length === 3);
    const units = metered.reduce((sum, bytes) => sum + Math.ceil(bytes / 4096), 0);
    t.ok(units > 3, 'a receipt of more than one unit');
    t.equal(units, azure.cloud.twinUnits());
  },
);

t.test('connections that end with their token, or by another one, are followed', async (t) => {
  /** The ends of tokens: the test, not the time, says when they come. */
  const ends: (() => void)[] = [];
  const { setTimer } = clock;
  const sessions: Clock = {
    ...clock,
    setTimer(ms, run) {
      if (ms !== LIFETIME_MS) return setTimer(ms, run);
      ends.push(run);
      return { cancel: () => undefined };
    },
  };
  const { azure, link, publisher, carrier } = await start(t, sessions);
  const { receipts } = await open(t, link);
  /** A connection that has ended meanwhile is made anew by the next publish. */
  const came = (version: number) =>
    until(`receipt ${version} came`, async () => {
      if (receipts.at(-1)?.version === version) return true;
      await publishedAtLast(publisher);
      return false;
    });
  for (let version = 1; version <= 5; version++) {
    await publishedAtLast(publisher);
    await carrier.send(carriage(receipt(version)), never);
    await came(version);
    const { channel } = link;
    for (const end of ends.splice(0)) end();
    await until('its connection ended with the token', () => link.channel !== channel);
  }
  const other = await openPublisher(t, azure, unmetered());
  await publishedAtLast(other);
  await carrier.send(carriage(receipt(6)), never);
  await came(6);
  t.equal(receipts.length, 6);
});

t.test('credentials that are changed take the twin with them', async (t) => {
  const azure = await startAzure(t);
  const link = unmetered();
  const entry = azure.cloud.agentConfig('gw-1');
  const wrong = JSON.stringify(entry['credentials']).replace(/SharedAccessKey=[^;]+/, 'SharedAccessKey=AAAA');
  const [provider] = agentConfigSchema.parse({
    gateway: 'gw-1',
    data_dir: '/d',
    broker: { allow_anonymous: true },
    providers: [{ ...entry, credentials: JSON.parse(wrong), next_credentials: entry['credentials'] }],
    policy: { streams: { telemetry: { topics: ['#'] } } },
  }).providers;
  if (!provider) throw new Error('one provider was given');
  const deps = { clock, log, twin: link, trustedWallMs: () => clock.wallMs() };
  const publisher = new CredentialPublisher(provider, deps);
  t.teardown(() => publisher.close());
  const { receipts, lines } = await open(t, link);
  await published(t, publisher);
  t.equal(publisher.credentials().inUse, 'next_credentials');
  await carrierTo(t, azure).send(carriage(receipt(1)), never);
  await until('receipt 1 came', () => receipts.length === 1);
  t.notMatch(lines.join(), /SharedAccess/);
});

t.test('a twin that cannot be read takes nothing from publishing, and is tried again', async (t) => {
  const { azure, link, publisher, carrier } = await start(t);
  await published(t, publisher);
  await carrier.send(carriage(receipt(1)), never);
  await azure.cloud.setFault(fault('throttle'));
  const { downlink, receipts, lines } = await open(t, link);
  await until('a line is logged', () => lines.length > 0);
  t.match(lines[0], /downlink.down.*answers 429/);
  t.ok(link.channel, 'over a connection that stays');
  await azure.cloud.setFault(null);
  await until('receipt 1 came and the downlink is up', () => receipts.length === 1 && downlink.isUp);
});

t.test('a hub of the basic tier is named, and asked ever more rarely (I9)', async (t) => {
  const { azure, link, publisher } = await start(t);
  azure.cloud.setBasicTier(true);
  await published(t, publisher);
  const { downlink, lines } = await open(t, link);
  // A connect and a publish, and the connect of the second try.
  await until(
    'the hub had three requests and the connection ended',
    () => azure.cloud.meter().requests === 3 && link.channel === null,
  );
  t.match(lines[0], /downlink.down.*basic tier has no twins/);
  // The hub may end the connection of the second try under it.
  await publishedAtLast(publisher);
  const { requests } = azure.cloud.meter();
  for (let i = 0; i < 5; i++) await published(t, publisher);
  t.equal(azure.cloud.meter().requests, requests + 5, 'nobody connects anew');
  t.ok(link.channel, 'and the connection is left alone');
  t.notOk(downlink.isUp);
});

t.test('a connection is made where something waits for a receipt, and left where nothing does', async (t) => {
  const idle = await start(t);
  await open(t, idle.link, false);
  const waiting = await start(t);
  await waiting.carrier.send(carriage(receipt(1)), never);
  const { downlink, receipts } = await open(t, waiting.link, true);
  await until('receipt 1 came', () => receipts.length === 1);
  t.equal(idle.link.channel, null);
  t.equal(idle.azure.cloud.meter().requests, 0);
  await waiting.publisher.close();
  await until('the downlink is down', () => !downlink.isUp);
  const requests = waiting.azure.cloud.meter().requests;
  const connects = counted(waiting.link);
  await until('it asks again, twice', () => connects() === 2);
  t.equal(waiting.azure.cloud.meter().requests, requests, 'what the provider closed stays closed');
});

t.test('a stop waits for nothing (I9)', async (t) => {
  const { azure, link, publisher } = await start(t);
  await published(t, publisher);
  const { downlink } = await open(t, link, true, TIMELESS);
  await until('the downlink is up', () => downlink.isUp);
  const stalled = await start(t);
  await stalled.azure.cloud.setFault(fault('blackhole'));
  const connects = counted(stalled.link);
  const other = await open(t, stalled.link, true, TIMELESS);
  await until('it connects', () => connects() === 1);
  await Promise.all([downlink.stop(), other.downlink.stop()]);
  t.equal(azure.cloud.fault(), null);
});

t.test('nothing in a twin counts but what the router signed for this gateway', async (t) => {
  const { link, publisher, carrier } = await start(t);
  await published(t, publisher);
  const twins = new Map([['azure', link]]);
  const { receiver, receipts } = await openConfigured(t, config, { twins, wallMs: NOW_MS });
  const put = (text: string) => carrier.send({ gateway: 'gw-1', text }, never);
  await nothingForgedCounts(t, { receiver, receipts, put });
});
