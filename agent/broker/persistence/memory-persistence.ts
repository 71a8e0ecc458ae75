/**
 * The class of aedes' own memory persistence. Its package has types, but not where the compiler finds them.
 */
import { createRequire } from 'node:module';
import type { Readable } from 'node:stream';

interface ClientOf {
  id: string;
}

/** The members used or replaced here; aedes-persistence's abstract suite tests the whole contract. */
interface Memory {
  storeRetained(packet: object): Promise<void>;
  createRetainedStream(pattern: string): Readable;
  addSubscriptions(client: ClientOf, subscriptions: Array<{ topic: string; qos: number }>): Promise<void>;
  removeSubscriptions(client: ClientOf, topics: string[]): Promise<void>;
  cleanSubscriptions(client: ClientOf): Promise<void>;
  subscriptionsByClient(client: ClientOf): Promise<Array<{ topic: string; qos: number }>>;
  incomingStorePacket(client: ClientOf, packet: object): Promise<void>;
  incomingDelPacket(client: ClientOf, packet: { messageId?: number | undefined }): Promise<void>;
  cleanIncoming(client: ClientOf): Promise<void>;
  putWill(client: ClientOf, packet: object): Promise<void>;
  delWill(client: ClientOf): Promise<object | undefined>;
}

interface MemoryClass {
  new (): Memory;
}

export const MemoryPersistence: MemoryClass = createRequire(import.meta.url)(
  'aedes-persistence/asyncPersistence.js',
);
