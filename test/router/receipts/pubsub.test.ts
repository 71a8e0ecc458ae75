/** The carrier through Pub/Sub towards a server that never answers. */
import t from 'tap';
import { TopicCarrier, topicOptions } from '../../../router/receipts/pubsub.ts';
import { never, receipt } from '../../agent/downlink/support.ts';
import { startGcp } from '../../loopback/gcp-support.ts';
import { ManualClock } from '../../manual-clock.ts';
import { silentServer } from '../../silent-server.ts';
import { asTimePasses, until } from '../../until.ts';
import { carriage } from './support.ts';

t.test('a receipt that is not answered is late, and the next one begins anew', async (t) => {
  const { router } = await startGcp(t);
  const { subscription: _, ...access } = router;
  const server = await silentServer(t);
  const clock = new ManualClock();
  const options = topicOptions.parse({ ...access, topic: 'receipts', endpoint: `127.0.0.1:${server.port}` });
  const carrier = new TopicCarrier(options, { clock });
  const first = carrier.send(carriage(receipt(1)), never);
  await until('it has connected', () => server.connections() === 1);
  clock.advance(10_000);
  t.same(await first, { kind: 'failed', problem: 'no answer in 10000 ms' });
  const stop = new AbortController();
  const second = carrier.send(carriage(receipt(2)), stop.signal);
  await until('over a connection of its own', () => server.connections() === 2);
  stop.abort();
  t.same(await second, { kind: 'failed', problem: 'the router is stopping' }, 'at once');
  let isClosed = false;
  void carrier.close().then(() => {
    isClosed = true;
  });
  await asTimePasses(clock, 1000, 'it is closed, whatever hangs', () => isClosed);
});
