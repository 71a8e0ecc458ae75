import t from 'tap';
import { SessionLog } from '../../../../agent/broker/persistence/session-log.ts';
import { systemClock } from '../../../../shared/clock.ts';
import { testDir } from '../../../test-dir.ts';
import { bufferFile, storeOn } from '../../store/fixture.ts';

t.test('a flush waits for what an earlier one is still writing', async (t) => {
  const { store } = storeOn(bufferFile(testDir(t)));
  await store.start();
  const log = new SessionLog(store, systemClock, { packetAt: () => undefined, names: () => [] });
  log.put('subscription', 'pump-1', 'a', () => ({ qos: 1 }));
  let isFirstWritten = false;
  const first = log.flush().then(() => {
    isFirstWritten = true;
  });
  await log.flush();
  t.ok(isFirstWritten, 'nothing was left to write, and not all was written');
  await first;
  await store.stop();
});
