/** CONNECT and CONNACK, sections 3.1 and 3.2. */
import { converse, ends, hears, hearsNothing, joins, records, says } from './conversation.ts';
import { connack, connect, connectOf, packet, puback, publish, suback, subscribe, text } from './packets.ts';

/** Well-formed fields that the flags do not announce, or announced ones that are not there. */
const MISFITS: ReadonlyArray<[name: string, flags: number, payload: number[]]> = [
  ['a will without the flag [MQTT-3.1.2-11]', 2, [...text('a'), ...text('t'), ...text('x')]],
  ['a will flag without a will [MQTT-3.1.2-9]', 2 | 4, text('a')],
  ['a will topic without a message [MQTT-3.1.2-9]', 2 | 4, [...text('a'), ...text('t')]],
  ['a username without the flag [MQTT-3.1.2-18]', 2, [...text('a'), ...text('u')]],
  ['a username flag without a username [MQTT-3.1.2-19]', 2 | 128, text('a')],
  ['a password without the flag [MQTT-3.1.2-20]', 2 | 128, [...text('a'), ...text('u'), ...text('p')]],
  ['a password flag without a password [MQTT-3.1.2-21]', 2 | 192, [...text('a'), ...text('u')]],
  ['no client id [MQTT-3.1.3-3]', 2, []],
  ['a client id that ends too early [MQTT-3.1.3-3]', 2, [0, 5, 97]],
  ['a byte after the last field [MQTT-3.1.4-1]', 2, [...text('a'), 0]],
];

converse(
  MISFITS.map(([name, flags, payload]) => ({
    name: `CONNECT with ${name} is not answered [MQTT-3.1.4-1] [MQTT-3.2.2-6]`,
    steps: [says('a', connectOf(flags, payload)), ends('a')],
  })),
);

const LETTERS = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';

converse(
  [LETTERS.slice(0, 23), LETTERS.slice(23, 46), LETTERS.slice(39), 'a'].map((id) => ({
    name: `the client id ${id} is accepted [MQTT-3.1.3-5] [MQTT-3.1.4-4] [MQTT-3.2.0-1]`,
    steps: joins(id),
  })),
);

converse([
  {
    name: 'an empty client id gets an id of its own: two of them are two clients [MQTT-3.1.3-6]',
    steps: [
      says('a', connect('')),
      hears('a', connack()),
      says('b', connect('')),
      hears('b', connack()),
      ...hearsNothing('a'),
      ...hearsNothing('b'),
    ],
  },
  {
    name: 'a rejected client id gets return code 2, without a session, and the end [MQTT-3.1.3-8] [MQTT-3.1.3-9] [MQTT-3.2.2-4] [MQTT-3.2.2-5]',
    steps: [says('a', connect('', { clean: false })), hears('a', connack(2)), ends('a')],
  },
  {
    name: 'nothing after a rejected CONNECT is processed [MQTT-3.1.4-5]',
    steps: [
      ...joins('b'),
      says('b', subscribe(1, ['t', 0], ['fence', 0])),
      hears('b', suback(1, 0, 0)),
      says('a', connect('', { clean: false }), publish('t', 'x', { qos: 1 }), subscribe(2, ['t', 0])),
      hears('a', connack(2)),
      ends('a'),
      says('b', publish('fence', 'x')),
      hears('b', publish('fence', 'x')),
      records('fence'),
    ],
  },
  {
    name: 'nothing after a CONNECT with a wrong password is processed [MQTT-3.1.4-5] [MQTT-3.2.2-5]',
    steps: [
      says(
        'a',
        connect('dev', { username: 'dev', password: 'wrong' }),
        publish('t', 'x', { qos: 1 }),
        subscribe(2, ['t', 0]),
      ),
      hears('a', connack(4)),
      ends('a'),
      ...joins('b'),
      says('b', publish('after', 'x', { qos: 1 })),
      hears('b', puback(1)),
      records('after'),
    ],
  },
  {
    name: 'a client id that is connected goes to the newcomer [MQTT-3.1.4-2] [MQTT-3.1.3-2]',
    steps: [...joins('a'), says('b', connect('a')), hears('b', connack()), ends('a'), ...hearsNothing('b')],
  },
  {
    name: 'CONNACK is first, whatever else came with CONNECT [MQTT-3.2.0-1]',
    steps: [
      says('a', connect('a'), subscribe(1, ['t', 1]), publish('t', 'x')),
      hears('a', connack(), suback(1, 0x01), publish('t', 'x')),
    ],
  },
  {
    name: 'no other return code than those of the table: another protocol is not answered [MQTT-3.2.2-6]',
    steps: [says('a', packet(0x10, [...text('MQTTX'), 4, 2, 0, 60, ...text('a')])), ends('a')],
  },
  {
    name: 'fields come in their order: id, will topic, will message, username, password [MQTT-3.1.3-1]',
    steps: [
      says('a', connect('dev', { will: { topic: 'w', payload: 'x' }, username: 'dev', password: 'wrong' })),
      hears('a', connack(4)),
      ends('a'),
    ],
  },
]);
