/** Two slots of AWS keys against the loopback cloud, which recomputes every signature (I9). */
import t from 'tap';
import { systemClock } from '../../../../shared/clock.ts';
import { attempt } from '../../../attempt.ts';
import { startAws } from '../../../loopback/start-aws.ts';
import { ManualClock } from '../../../manual-clock.ts';
import { until } from '../../../until.ts';
import { brief, envelope, open, publishUntil } from './support.ts';

const NEXT = { accessKeyId: 'AKIANEXTNEXTNEXTNEXT', secretAccessKey: 'the-secret-of-the-next-key' };
const next_credentials = { access_key_id: NEXT.accessKeyId, secret_access_key: NEXT.secretAccessKey };
const HOUR_MS = 3_600_000;

t.test('keys revoked under load: the next slot takes over, and no publish fails', async (t) => {
  const { cloud } = await startAws(t);
  const entry = { ...cloud.agentConfig('gw-1'), next_credentials };
  const opened = open(t, entry);
  let accepted = Number.POSITIVE_INFINITY;
  const outcomes = publishUntil(opened, 6, () => cloud.meter().accepted > accepted);
  await until('20 publishes are accepted', () => cloud.meter().accepted > 20);
  t.match(opened.publisher.credentials(), { inUse: 'credentials', standing: 'accepted' });
  cloud.rotateKeys(NEXT);
  accepted = cloud.meter().accepted + 50;
  const all = await outcomes;
  t.same([...new Set(all.map(brief))], ['accepted']);
  t.equal(cloud.meter().accepted, all.length, 'each once');
  t.same(opened.told(), ['credentials refused', 'next_credentials in-use']);
  t.match(opened.publisher.credentials(), {
    inUse: 'next_credentials',
    standing: 'accepted',
    slots: [
      { slot: 'credentials', refused: true },
      { slot: 'next_credentials', refused: false },
    ],
  });
  t.notMatch(opened.lines.join(''), /the-secret-of/, 'no secret is logged');
});

t.test('both wrong: a named state, and it recovers when one becomes right', async (t) => {
  const { cloud } = await startAws(t);
  const config = cloud.agentConfig('gw-1');
  const wrong = { access_key_id: 'AKIAWRONGWRONGWRONG0', secret_access_key: 'a-wrong-secret-key' };
  const clock = new ManualClock(systemClock.wallMs());
  const opened = open(t, { ...config, credentials: wrong, next_credentials }, clock);
  t.equal(brief(await opened.publisher.publish(envelope(), attempt(3000))), 'rejected/unauthorized');
  t.match(opened.publisher.credentials(), {
    standing: 'refused',
    slots: [{ refused: true }, { refused: true }],
  });
  t.equal(brief(await opened.publisher.publish(envelope(), attempt(3000))), 'rejected/unauthorized');
  t.same(
    opened.told(),
    ['credentials refused', 'next_credentials refused', 'next_credentials all-refused'],
    'said once, however often it is tried',
  );
  cloud.rotateKeys(NEXT);
  const before = cloud.meter().requests;
  t.equal(brief(await opened.publisher.publish(envelope(), attempt(3000))), 'rejected/unauthorized');
  t.equal(cloud.meter().requests - before, 1, 'the next slot waits for its pause');
  clock.advance(1000);
  t.equal(brief(await opened.publisher.publish(envelope(), attempt(3000))), 'accepted');
  t.match(opened.publisher.credentials(), { inUse: 'next_credentials', standing: 'accepted' });
});

t.test(
  'a session near its end: the next slot is proven first, but never by a clock not synchronised (I7)',
  async (t) => {
    const { cloud } = await startAws(t);
    const config = cloud.agentConfig('gw-1');
    const nowMs = systemClock.wallMs();
    const expires_at = new Date(nowMs + HOUR_MS).toISOString();
    const own = config['credentials'];
    const credentials = { ...(typeof own === 'object' ? own : {}), expires_at };
    const opened = open(t, { ...config, credentials, next_credentials: own });
    t.equal(brief(await opened.publisher.publish(envelope(), attempt(3000))), 'accepted');
    t.equal(opened.publisher.credentials().inUse, 'credentials');
    opened.setWall(nowMs);
    await until('the end is known', () => opened.publisher.credentials().expiresMs !== null);
    t.equal(brief(await opened.publisher.publish(envelope(), attempt(3000))), 'accepted');
    t.match(opened.publisher.credentials(), { inUse: 'credentials', expiresMs: nowMs + HOUR_MS });
    opened.setWall(nowMs + 0.9 * HOUR_MS);
    t.equal(brief(await opened.publisher.publish(envelope(), attempt(3000))), 'accepted');
    t.match(opened.publisher.credentials(), { inUse: 'next_credentials', expiresMs: null });
    t.equal(cloud.meter().accepted, 3, 'the trial was a publish like any other');
  },
);

t.test(
  'next credentials that are refused ahead of the end: the publish goes out with those in use',
  async (t) => {
    const { cloud } = await startAws(t);
    const config = cloud.agentConfig('gw-1');
    const nowMs = systemClock.wallMs();
    const own = config['credentials'];
    const credentials = {
      ...(typeof own === 'object' ? own : {}),
      expires_at: new Date(nowMs).toISOString(),
    };
    const opened = open(t, { ...config, credentials, next_credentials });
    opened.setWall(nowMs);
    await until('the end is told', () => opened.told().includes('credentials expires-soon'));
    t.equal(brief(await opened.publisher.publish(envelope(), attempt(3000))), 'accepted');
    t.match(opened.publisher.credentials(), { inUse: 'credentials', standing: 'accepted' });
    t.same(opened.told(), ['credentials expires-soon', 'next_credentials refused']);
  },
);
