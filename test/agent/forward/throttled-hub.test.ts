/** A hub that throttles as IoT Hub does, with the vendor's SDK, and routing's reaction. */
import t from 'tap';
import { fault } from '../../../loopback/faults.ts';
import { openPublisher, startAzure } from '../../loopback/azure-fixture.ts';
import { until } from '../../until.ts';
import { appendAll, bufferFile, texts } from '../store/fixture.ts';
import { type Agent, agentOn, drained } from './fixture.ts';

t.test('late acknowledgements and cut connections put it on hold, and the records stay (I3)', async (t) => {
  const { cloud } = await startAzure(t);
  let agent: Agent | null = null;
  const publisher = await openPublisher(t, cloud.agentConfig('gw-1'), {
    onCut: (cut) => agent?.routing.dispatch({ kind: 'cut', provider: 'azure', cut }),
  });
  agent = await agentOn(bufferFile(t.testdirName), { providers: ['azure'], publisher: () => publisher });
  const { routing, store, stop } = agent;
  t.teardown(stop);
  await appendAll(store, texts(3));
  await until('the buffer is drained', drained(agent));
  await cloud.setFault(fault('throttle'));
  await appendAll(store, texts(3, 4));
  await until('the hub is held as throttled', () =>
    routing.providers().some(({ holds }) => holds.includes('throttled')),
  );
  t.match(routing.explain('telemetry'), [{ eligible: false, holds: ['throttled'] }]);
  t.ok(
    agent.logged.some(({ event, reason }) => event === 'routing.hold' && reason === 'throttled'),
    'it is in the log',
  );
});
