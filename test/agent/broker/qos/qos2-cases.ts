/**
 * A device publishes with QoS 2 under packet id 1, is cut off after PUBREC, connects again and publishes
 * under packet id 1 once more. All combinations of: whether the second session is clean, whether it has a
 * subscription, DUP, the same or other content, and what happened to the broker meanwhile.
 */
import { until } from '../../../until.ts';
import { connectPacket, publishPacket, pubrelPacket, RawClient } from '../raw-client.ts';

export interface Qos2Case {
  /** Of the second connection; the first one's session is always kept. */
  clean: boolean;
  subscribed: boolean;
  dup: boolean;
  content: 'same' | 'other';
  restart: 'none' | 'orderly' | 'killed';
}

export interface Qos2Answer {
  sessionPresent: boolean;
  /** Payloads that reached subscribers, or the store, in order. */
  delivered: string[];
}

const BOOLEANS = [false, true] as const;

export const QOS2_CASES: readonly Qos2Case[] = BOOLEANS.flatMap((clean) =>
  BOOLEANS.flatMap((subscribed) =>
    BOOLEANS.flatMap((dup) =>
      (['same', 'other'] as const).flatMap((content) =>
        (['none', 'orderly', 'killed'] as const).map((restart) => ({
          clean,
          subscribed,
          dup,
          content,
          restart,
        })),
      ),
    ),
  ),
);

export function nameOfCase({ clean, subscribed, dup, content, restart }: Qos2Case): string {
  const parts = [
    clean ? 'clean' : 'kept',
    subscribed ? 'subscribed' : 'not subscribed',
    dup ? 'DUP' : 'no DUP',
  ];
  return [...parts, `${content} content`, `restart: ${restart}`].join(', ');
}

const TOPIC = 'qos2/t';
const SUBSCRIBE = Uint8Array.from([0x82, 8, 0, 9, 0, 3, ...Buffer.from('x/y'), 1]);

/** The broker under test, as the cases need it. */
export interface Qos2Broker {
  /** Name of the device. */
  device: string;
  port: () => number;
  restart: (how: Qos2Case['restart']) => Promise<void>;
  /** Payloads of the device that were delivered, once no more can arrive. */
  delivered: () => Promise<string[]>;
}

/** Plays one case and returns the broker's answer. */
export async function answerTo(one: Qos2Case, broker: Qos2Broker): Promise<Qos2Answer> {
  const first = await connected(broker, false);
  if (one.subscribed) await exchanged(first.client, SUBSCRIBE, '90030009');
  await exchanged(first.client, publishPacket(TOPIC, 'first', { qos: 2, messageId: 1 }), '50020001');
  first.client.close();
  await broker.restart(one.restart);
  const { client, sessionPresent } = await connected(broker, one.clean);
  const payload = one.content === 'same' ? 'first' : 'other';
  await exchanged(client, publishPacket(TOPIC, payload, { qos: 2, messageId: 1, dup: one.dup }), '50020001');
  await exchanged(client, pubrelPacket(1), '70020001');
  client.send(Uint8Array.from([0xe0, 0]));
  const delivered = await broker.delivered();
  client.close();
  return { sessionPresent, delivered };
}

async function connected(
  { port, device }: Qos2Broker,
  clean: boolean,
): Promise<{ client: RawClient; sessionPresent: boolean }> {
  const client = await RawClient.open(port());
  client.send(connectPacket(device, clean));
  const connack = /^2002(0[01])00/;
  await until('CONNACK', () => connack.test(client.received));
  return { client, sessionPresent: client.received.startsWith('200201') };
}

async function exchanged(client: RawClient, packet: Uint8Array, answer: string): Promise<void> {
  client.send(packet);
  await until(`${answer} comes`, () => client.received.slice(8).includes(answer));
}
