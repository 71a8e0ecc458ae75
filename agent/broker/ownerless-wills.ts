/** Wills of clients that were connected when the agent ended without a word, and have not come back. */
import type { Aedes } from 'aedes';
import { errorText } from '../../shared/log.ts';
import type { BrokerOptions } from './options.ts';
import type { Refusals } from './refusals.ts';

/** Each is recorded, then delivered, then forgotten; one that cannot be recorded is tried at the next start. */
export async function publishOwnerlessWills(
  aedes: Aedes,
  { sessions, intake }: Pick<BrokerOptions, 'sessions' | 'intake'>,
  refusals: Refusals,
): Promise<void> {
  for (const { client, topic, payload, qos, retain } of sessions.ownerlessWills()) {
    try {
      const publish = { device: client, topic, payload, qos, retransmitted: false, session: null };
      await new Promise<void>((resolve, reject) => {
        intake(publish, (error) => (error ? reject(error) : resolve()));
      });
      const packet = { cmd: 'publish', topic, payload, qos, retain, dup: false } as const;
      await new Promise<void>((resolve) => aedes.publish(packet, () => resolve()));
      await sessions.delWill({ id: client });
    } catch (error) {
      refusals.add('intake-failed', { device: client, topic, error: errorText(error) });
    }
  }
}
