/**
 * Wills of clients that were connected when the agent ended abruptly, and that have not reconnected. Each
 * will passes the same checks as a publish of its device now: the rules, devices and local topics may have
 * changed with the restart. A device that was removed and added again meanwhile is another one: the will is
 * not its own.
 */
import type { Aedes } from 'aedes';
import { errorText } from '../../shared/log.ts';
import type { Gate } from './access/gate.ts';
import type { BrokerOptions } from './options.ts';
import type { Will } from './persistence/will.ts';
import type { TopicLimits } from './rates/topic-limits.ts';
import type { RefusalReason, Refusals } from './refusals.ts';

export interface WillRules {
  gate: Gate;
  topics: TopicLimits;
  refusals: Refusals;
}

type Options = Pick<BrokerOptions, 'sessions' | 'intake' | 'devices' | 'allowAnonymous'>;

/**
 * Each will is recorded (unless its topic is local), delivered and deleted. A will that is not allowed is
 * dropped. A will that cannot be recorded is tried again at the next start, as is the will of an unknown
 * device while the device file is damaged.
 */
export async function publishOwnerlessWills(
  aedes: Aedes,
  options: Options,
  { gate, topics, refusals }: WillRules,
): Promise<void> {
  const { sessions, devices, allowAnonymous } = options;
  const refusalOf = ({ client, topic, owner }: Will): RefusalReason | null => {
    const claim = { topic, isAnonymousAllowed: allowAnonymous, ...(owner !== undefined && { owner }) };
    return topics.refusal(topic) ?? (gate.mightPublish(client, claim) ? null : 'will-not-allowed');
  };
  for (const will of sessions.ownerlessWills()) {
    const { client, topic } = will;
    const reason = refusalOf(will);
    try {
      if (reason === null) await publish(aedes, options, will, topics.isLocal(topic));
      else refusals.add(reason, { device: client, topic, what: 'will' });
      const isFileSound = devices.state === 'ok' || devices.state === 'missing';
      if (reason !== 'will-not-allowed' || isFileSound) await sessions.delWill({ id: client });
    } catch (error) {
      refusals.add('intake-failed', { device: client, topic, error: errorText(error) });
    }
  }
}

async function publish(aedes: Aedes, { intake }: Options, will: Will, isLocal: boolean): Promise<void> {
  const { client, topic, payload, qos, retain } = will;
  if (!isLocal) {
    const record = { device: client, topic, payload, qos, retransmitted: false, session: null };
    await new Promise<void>((resolve, reject) => {
      intake(record, (error) => (error ? reject(error) : resolve()));
    });
  }
  const packet = { cmd: 'publish', topic, payload, qos, retain, dup: false, clientId: client } as const;
  await new Promise<void>((resolve) => aedes.publish(packet, () => resolve()));
}
