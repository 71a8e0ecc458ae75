/**
 * A QoS 1 publish repeated with DUP: one record where the protocol shows the repetition, two where it does
 * not.
 */
import t, { type Test } from 'tap';
import type { Broker } from '../../../../agent/broker/broker.ts';
import { until } from '../../../until.ts';
import { type Held, heldIntake, startBroker } from '../fixture.ts';
import { connectPacket, publishPacket, RawClient } from '../raw-client.ts';

const PUBACK_7 = '40020007';
const reading = (dup: boolean, payload = '21.5') =>
  publishPacket('plant/t', payload, { qos: 1, messageId: 7, dup });

async function started(t: Test): Promise<{ calls: Held[]; broker: Broker; open: () => Promise<RawClient> }> {
  const { calls, intake } = heldIntake();
  const { broker, port } = await startBroker(intake);
  t.teardown(() => {
    for (const call of calls) call.commit();
    return broker.stop();
  });
  const open = async (): Promise<RawClient> => {
    const client = await RawClient.open(port);
    client.send(connectPacket('sensor-1', false));
    // With or without a session from before.
    await until('CONNACK', () => /^20020[01]00/.test(client.received));
    return client;
  };
  return { calls, broker, open };
}

t.test(
  'the first is still being committed, on the connection before: both wait for one record',
  async (t) => {
    const { calls, open } = await started(t);
    const first = await open();
    first.send(reading(false));
    await until('a publish reaches the intake', () => calls.length === 1);
    first.close();
    const second = await open();
    second.send(reading(true));
    second.send(publishPacket('plant/other', 'x', { qos: 1, messageId: 8 }));
    await until('2 publishes reach the intake', () => calls.length === 2);
    t.equal(calls[1]?.topic, 'plant/other', 'the repetition is not stored');
    t.notMatch(second.received, PUBACK_7, 'nor acknowledged before the commit (I1)');
    calls[0]?.commit();
    await until('second is answered', () => second.received.includes(PUBACK_7));
    second.close();
  },
);

t.test('committed after its connection had gone: the repetition is acknowledged, once', async (t) => {
  const { calls, broker, open } = await started(t);
  const first = await open();
  first.send(reading(false));
  await until('a publish reaches the intake', () => calls.length === 1);
  first.close();
  await until('0 connections', () => broker.stats().connections === 0);
  const second = await open();
  calls[0]?.commit();
  second.send(reading(true));
  await until('second is answered', () => second.received.includes(PUBACK_7));
  t.equal(calls.length, 1);
  second.send(reading(true));
  await until('2 publishes reach the intake', () => calls.length === 2);
  t.pass('after that PUBACK was written nobody can tell: recorded');
  second.close();
});

t.test('recorded again: a PUBACK was written, other content, no DUP, or the commit failed', async (t) => {
  const { calls, broker, open } = await started(t);
  const first = await open();
  first.send(reading(false));
  await until('a publish reaches the intake', () => calls.length === 1);
  calls[0]?.commit();
  await until('first is answered', () => first.received.includes(PUBACK_7));
  first.close();
  const second = await open();
  second.send(reading(true));
  await until('2 publishes reach the intake', () => calls.length === 2);
  second.close();
  await until('0 connections', () => broker.stats().connections === 0);
  calls[1]?.commit();

  const third = await open();
  third.send(reading(true, '21.6'));
  await until('3 publishes reach the intake', () => calls.length === 3);
  third.close();
  await until('0 connections', () => broker.stats().connections === 0);
  calls[2]?.fail();

  const fourth = await open();
  fourth.send(reading(true, '21.6'));
  await until('4 publishes reach the intake', () => calls.length === 4);
  calls[3]?.commit();
  await until('fourth is answered', () => fourth.received.includes(PUBACK_7));
  fourth.close();
});
