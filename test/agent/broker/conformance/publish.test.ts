/** PUBLISH and its acknowledgements, retained messages: sections 3.3 to 3.7 and 4.3. */
import {
  type Conversation,
  converse,
  ends,
  hears,
  hearsNothing,
  joins,
  passesBy,
  records,
  says,
} from './conversation.ts';
import {
  puback,
  pubcomp,
  publish,
  pubrec,
  pubrel,
  suback,
  subscribe,
  unsuback,
  unsubscribe,
} from './packets.ts';

const listens = (who: string, ...filters: ReadonlyArray<[string, 0 | 1 | 2]>) => [
  says(who, subscribe(9, ...filters)),
  hears(who, suback(9, ...filters.map(([, qos]) => qos))),
];
const pair = (...filters: ReadonlyArray<[string, 0 | 1 | 2]>) => [
  ...joins('a'),
  ...joins('b'),
  ...listens('b', ...filters),
];

const RETAINED: readonly Conversation[] = [
  {
    name: 'a retained message goes to a new subscription with RETAIN 1, to an established one with RETAIN 0 [MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-8] [MQTT-3.3.1-9]',
    steps: [
      ...pair(['t', 1]),
      says('a', publish('t', 'old', { qos: 1, retain: true })),
      hears('a', puback(1)),
      hears('b', publish('t', 'old', { qos: 1, id: 1 })),
      says('a', publish('t', 'new', { qos: 1, retain: true })),
      hears('a', puback(1)),
      ...joins('c'),
      ...listens('c', ['+', 1]),
      hears('c', publish('t', 'new', { qos: 1, id: 1, retain: true })),
    ],
  },
  {
    name: 'a QoS 0 message with RETAIN 1 takes the place of the one before [MQTT-3.3.1-7]',
    steps: [
      ...joins('a'),
      says('a', publish('t', 'old', { qos: 1, retain: true })),
      hears('a', puback(1)),
      says('a', publish('t', 'new', { retain: true }), publish('u', 'x', { qos: 1, id: 2 })),
      hears('a', puback(2)),
      ...listens('a', ['t', 1]),
      hears('a', publish('t', 'new', { retain: true })),
      ...hearsNothing('a'),
    ],
  },
  {
    name: 'an empty retained message is delivered, deletes and is not kept [MQTT-3.3.1-10] [MQTT-3.3.1-11]',
    steps: [
      ...pair(['t', 0]),
      says('a', publish('t', 'old', { qos: 1, retain: true })),
      hears('b', publish('t', 'old')),
      says('a', publish('t', '', { qos: 1, id: 2, retain: true })),
      hears('b', publish('t', '')),
      hears('a', puback(1), puback(2)),
      ...joins('c'),
      ...listens('c', ['t', 0]),
      ...hearsNothing('c'),
    ],
  },
  {
    name: 'a message with RETAIN 0 is not retained and replaces nothing [MQTT-3.3.1-12]',
    steps: [
      ...joins('a'),
      says('a', publish('t', 'kept', { qos: 1, retain: true })),
      says('a', publish('t', 'passing', { qos: 1, id: 2 })),
      says('a', publish('u', 'passing', { qos: 1, id: 3 })),
      hears('a', puback(1), puback(2), puback(3)),
      ...listens('a', ['t', 0], ['u', 0]),
      hears('a', publish('t', 'kept', { retain: true })),
      ...hearsNothing('a'),
    ],
  },
];

const DELIVERY: readonly Conversation[] = [
  {
    name: 'QoS 0 has no packet id, DUP 0 and no answer [MQTT-2.3.1-5] [MQTT-3.3.1-2] [MQTT-4.3.1-1] [MQTT-3.3.4-1]',
    steps: [
      ...pair(['t', 2]),
      says('a', publish('t', '\0\u0001')),
      hears('b', publish('t', '\0\u0001')),
      ...hearsNothing('a'),
    ],
  },
  {
    name: 'QoS 0 with DUP 1 ends the connection [MQTT-3.3.1-2] [MQTT-4.8.0-1]',
    steps: [...joins('a'), says('a', publish('t', 'x', { dup: true })), ends('a'), records()],
  },
  {
    name: 'DUP of the publisher is not passed on [MQTT-3.3.1-3]',
    steps: [
      ...pair(['t', 1]),
      says('a', publish('t', 'x', { qos: 1, id: 77, dup: true })),
      hears('a', puback(77)),
      hears('b', publish('t', 'x', { qos: 1, id: 1 })),
    ],
  },
  {
    name: 'QoS 1: a PUBACK with its id; after it the id is a new publish [MQTT-4.3.2-2] [MQTT-2.3.1-6] [MQTT-3.3.4-1]',
    steps: [
      ...pair(['t', 0]),
      says('a', publish('t', 'one', { qos: 1, id: 65_535 })),
      hears('a', puback(65_535)),
      says('a', publish('t', 'two', { qos: 1, id: 65_535, dup: true })),
      hears('a', puback(65_535)),
      hears('b', publish('t', 'one'), publish('t', 'two')),
      records('t', 't'),
    ],
  },
  {
    name: 'DUP of a QoS 2 publish is not passed on either, nor kept with a retained message [MQTT-3.3.1-3]',
    steps: [
      ...pair(['t', 2]),
      says('a', publish('t', 'x', { qos: 2, id: 5, dup: true, retain: true })),
      hears('a', pubrec(5)),
      hears('b', publish('t', 'x', { qos: 2, id: 1 })),
      ...joins('c'),
      ...listens('c', ['t', 1]),
      hears('c', publish('t', 'x', { qos: 1, id: 1, retain: true })),
    ],
  },
  {
    name: 'QoS 2: PUBREC, and for repetitions again, one message, PUBCOMP, then a new publish [MQTT-4.3.3-2] [MQTT-2.3.1-6] [MQTT-3.3.4-1]',
    steps: [
      ...pair(['t', 0]),
      says('a', publish('t', 'one', { qos: 2, id: 3 })),
      hears('a', pubrec(3)),
      says('a', publish('t', 'one', { qos: 2, id: 3, dup: true })),
      hears('a', pubrec(3)),
      says('a', pubrel(3)),
      hears('a', pubcomp(3)),
      says('a', pubrel(3)),
      hears('a', pubcomp(3)),
      says('a', publish('t', 'two', { qos: 2, id: 3 })),
      hears('a', pubrec(3)),
      says('a', pubrel(3)),
      hears('a', pubcomp(3)),
      hears('b', publish('t', 'one'), publish('t', 'two')),
      records('t', 't'),
    ],
  },
  {
    name: 'to subscribers: QoS 1 and 2 with unused ids and DUP 0, PUBREL with flags 2 [MQTT-4.3.2-1] [MQTT-4.3.3-1] [MQTT-2.2.2-1] [MQTT-2.3.1-4]',
    steps: [
      ...pair(['t', 2]),
      says('a', publish('t', 'one', { qos: 1, id: 7 })),
      hears('a', puback(7)),
      hears('b', publish('t', 'one', { qos: 1, id: 1 })),
      says('a', publish('t', 'two', { qos: 2, id: 8 })),
      hears('a', pubrec(8)),
      says('a', pubrel(8)),
      hears('a', pubcomp(8)),
      hears('b', publish('t', 'two', { qos: 2, id: 2 })),
      says('b', pubrec(2)),
      hears('b', pubrel(2)),
      says('b', pubcomp(2), puback(1)),
      says('a', publish('t', 'three', { qos: 1, id: 7 })),
      hears('b', publish('t', 'three', { qos: 1, id: 3 })),
    ],
  },
  {
    name: 'messages of a topic keep their order, acknowledgements too [MQTT-4.6.0-2] [MQTT-4.6.0-3] [MQTT-4.6.0-5] [MQTT-4.6.0-6]',
    steps: [
      ...pair(['#', 1]),
      says('a', ...[1, 2, 3, 4, 5].map((id) => publish('t', `${id}`, { qos: 1, id }))),
      hears('a', ...[1, 2, 3, 4, 5].map(puback)),
      hears('b', ...[1, 2, 3, 4, 5].map((id) => publish('t', `${id}`, { qos: 1, id }))),
      says('a', ...[6, 7, 8].map((id) => publish('t', `${id}`, { qos: 2, id }))),
      hears('a', ...[6, 7, 8].map(pubrec)),
    ],
  },
  {
    name: 'PUBREL in the order of PUBREC [MQTT-4.6.0-4]',
    steps: [
      ...pair(['t', 2]),
      says('a', ...[1, 2, 3].map((id) => publish('t', `${id}`, { qos: 2, id }))),
      hears('a', ...[1, 2, 3].map(pubrec)),
      says('a', ...[1, 2, 3].map(pubrel)),
      hears('a', ...[1, 2, 3].map(pubcomp)),
      hears('b', ...[1, 2, 3].map((id) => publish('t', `${id}`, { qos: 2, id }))),
      says('b', ...[2, 1, 3].map(pubrec)),
      hears('b', ...[2, 1, 3].map(pubrel)),
    ],
  },
  {
    name: 'a topic that begins with $ matches no filter that begins with a wildcard [MQTT-4.7.2-1]',
    steps: [
      ...pair(['#', 0], ['+/monitor', 0], ['fence', 0]),
      says('a', publish('$SYS/monitor', 'x', { qos: 1 })),
      hears('a', puback(1)),
      says('a', publish('fence', 'x')),
      hears('b', publish('fence', 'x')),
      ...hearsNothing('b'),
    ],
  },
  {
    name: 'the topic that subscribers get is the one published, byte for byte [MQTT-3.3.2-1] [MQTT-3.3.2-3] [MQTT-4.7.3-4]',
    steps: [
      // The same letter, composed and decomposed; case, spaces and empty levels tell topics apart.
      ...pair(['caf\u00e9', 0], ['A/ b', 0], ['/x/', 0], ['fence', 0]),
      ...['cafe\u0301', 'a/ b', 'A/b', '/x', 'x/', '\ufeffcaf\u00e9'].map((topic) =>
        says('a', publish(topic, 'no')),
      ),
      ...passesBy('a', 'b'),
      ...['caf\u00e9', 'A/ b', '/x/'].flatMap((topic) => [
        says('a', publish(topic, 'yes')),
        hears('b', publish(topic, 'yes')),
      ]),
    ],
  },
  {
    name: 'after UNSUBSCRIBE nothing new comes, and what was begun is completed [MQTT-3.10.4-2] [MQTT-3.10.4-3]',
    steps: [
      ...pair(['t', 2], ['fence', 0]),
      says('a', publish('t', 'x', { qos: 2, id: 1 })),
      hears('a', pubrec(1)),
      says('a', pubrel(1)),
      hears('a', pubcomp(1)),
      hears('b', publish('t', 'x', { qos: 2, id: 1 })),
      says('b', unsubscribe(5, 't')),
      hears('b', unsuback(5)),
      says('a', publish('t', 'y')),
      ...passesBy('a', 'b'),
      says('b', pubrec(1)),
      hears('b', pubrel(1)),
      says('b', pubcomp(1)),
      ...hearsNothing('b'),
    ],
  },
];

converse([...RETAINED, ...DELIVERY]);
