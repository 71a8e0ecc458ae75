import t from 'tap';
import { SetAsideStreams } from '../../../router/ingest/set-aside.ts';
import { ManualClock } from '../../manual-clock.ts';

const key = (gateway: string) => ({ gateway, epoch: '1-aa', stream: 'telemetry' });

t.test('a stream that is set aside is tried by one envelope at a time', async (t) => {
  const clock = new ManualClock();
  const streams = new SetAsideStreams(clock);
  t.equal(streams.admit(key('a')), 'commit');
  streams.blocked(key('a'));
  t.equal(streams.admit(key('a')), 'leave');
  t.equal(streams.admit(key('b')), 'commit', 'others go on');
  await clock.advance(2000);
  t.equal(streams.admit(key('a')), 'probe');
  t.equal(streams.admit(key('a')), 'leave', 'while the probe is under way');
  streams.blocked(key('a'));
  streams.probed(key('a'));
  t.equal(streams.admit(key('a')), 'leave', 'the lock is still there');
  await clock.advance(2000);
  t.equal(streams.admit(key('a')), 'probe');
  streams.probed(key('a'));
  t.equal(streams.admit(key('a')), 'commit', 'the lock is gone');
});

t.test('probes under way at once have a bound (I10)', async (t) => {
  const clock = new ManualClock();
  const streams = new SetAsideStreams(clock);
  for (const gateway of ['a', 'b', 'c']) streams.blocked(key(gateway));
  await clock.advance(2000);
  t.strictSame(
    ['a', 'b', 'c'].map((gateway) => streams.admit(key(gateway))),
    ['probe', 'probe', 'leave'],
  );
  streams.probed(key('b'));
  t.equal(streams.admit(key('c')), 'probe');
});
