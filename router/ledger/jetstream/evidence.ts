/**
 * The JetStream streams of what the ledger keeps for people to look at: files on `replicas` servers, each
 * with a bound of its own (I10).
 */
import { DiscardPolicy, RetentionPolicy, StorageType, type StreamConfig } from '@nats-io/jetstream';
import type { Connection } from './connection.ts';

export interface EvidenceLimits {
  messagesMax: number;
  bytesMax: number;
}

/** Begins the description of every stream: other programs' have another, and other formats will. */
export const DESCRIPTION = 'Headgate ledger 1';

type NamedConfig = Partial<StreamConfig> & { name: string };

/**
 * A stream with a bound (I10), made when something is put into it first: most ledgers hold neither conflict
 * nor dead letter.
 */
export class EvidenceStream {
  readonly #connection: Connection;
  readonly #config: NamedConfig;
  readonly #bounds: { max_msgs: number; max_bytes: number };
  #made: boolean = false;
  #there: boolean = false;

  constructor(
    connection: Connection,
    stream: { name: string; subjects: string[] },
    replicas: number,
    limits: EvidenceLimits,
  ) {
    const { messagesMax, bytesMax } = limits;
    this.#connection = connection;
    this.#bounds = { max_msgs: messagesMax, max_bytes: bytesMax };
    this.#config = { ...streamDefaults(replicas), ...stream, ...this.#bounds, allow_direct: true };
  }

  get name(): string {
    return this.#config.name;
  }

  async make(): Promise<void> {
    if (this.#made) return;
    await this.#connection.ensureStream(this.#config);
    // It may have been made with another configuration.
    await this.#connection.bound(this.#config.name, this.#bounds);
    this.#made = true;
    this.#there = true;
  }

  async isThere(): Promise<boolean> {
    this.#there ||= await this.#connection.hasStream(this.#config.name);
    return this.#there;
  }
}

/** What all streams of a ledger have in common. */
export function streamDefaults(replicas: number): Partial<StreamConfig> {
  return {
    description: DESCRIPTION,
    storage: StorageType.File,
    retention: RetentionPolicy.Limits,
    discard: DiscardPolicy.Old,
    num_replicas: replicas,
  };
}
