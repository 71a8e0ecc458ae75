/** The will of a client that is gone. */
import type { StoredPacket } from './packet.ts';

export interface Will {
  client: string;
  topic: string;
  payload: Buffer;
  qos: 0 | 1 | 2;
  retain: boolean;
  /** Whose it is: see `Gate.ownerOf`; absent from a file before 0.2.0. */
  owner?: string;
}

export function willOf(client: string, { topic, payload, qos, retain, owner }: StoredPacket): Will {
  return { client, topic, payload, qos, retain, ...(owner !== undefined && { owner }) };
}
