import type { SessionItem } from '../../store/types.ts';
import { encodeItem } from './session-log.ts';

/** The session item that is written in the commit of a QoS 2 record. */
export function incomingItem(client: string, messageId: number, digest: string): SessionItem {
  return { kind: 'incoming', client, key: String(messageId), value: encodeItem({ messageId, digest }) };
}
