/** The will of a client that is gone. */
import type { StoredPacket } from './packet.ts';

export interface Will {
  client: string;
  topic: string;
  payload: Buffer;
  qos: 0 | 1 | 2;
  retain: boolean;
}

export function willOf(client: string, { topic, payload, qos, retain }: StoredPacket): Will {
  return { client, topic, payload, qos, retain };
}
