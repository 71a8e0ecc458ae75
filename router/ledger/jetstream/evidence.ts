/**
 * The ledger's JetStream streams: files on `replicas` servers, nothing aged out but what has a bound of its
 * own.
 */
import { DiscardPolicy, RetentionPolicy, StorageType, type StreamConfig } from '@nats-io/jetstream';
import type { Connection } from './connection.ts';
import type { Names } from './names.ts';

export interface EvidenceLimits {
  messagesMax: number;
  bytesMax: number;
}

/** Told apart from streams of other programs, and of a Headgate with other formats. */
const DESCRIPTION = 'Headgate ledger 1';

type NamedConfig = Partial<StreamConfig> & { name: string };

/** Makes those of the log where they are missing; any number of replicas may do so at once. */
export async function ensureStreams(connection: Connection, names: Names, replicas: number): Promise<void> {
  const { subjects } = names;
  const direct = { ...common(replicas), allow_direct: true };
  await Promise.all([
    connection.ensureStream({ ...direct, name: names.records, subjects: subjects.records }),
    connection.ensureStream({ ...direct, name: names.commits, subjects: subjects.commits }),
    // Only its leader answers: a snapshot must not be older than the checkpoint.
    connection.ensureStream({
      ...common(replicas),
      name: names.state,
      subjects: subjects.state,
      max_msgs_per_subject: 1,
    }),
    connection.ensureStream({
      ...common(replicas),
      name: names.cursors,
      subjects: subjects.cursors,
      max_msgs_per_subject: 1,
    }),
  ]);
}

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
    this.#config = { ...common(replicas), ...stream, ...this.#bounds, allow_direct: true };
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

function common(replicas: number): Partial<StreamConfig> {
  return {
    description: DESCRIPTION,
    storage: StorageType.File,
    retention: RetentionPolicy.Limits,
    discard: DiscardPolicy.Old,
    num_replicas: replicas,
  };
}
