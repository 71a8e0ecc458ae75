/**
 * The JetStream streams of the ledger's evidence (conflicts, dead letters, repetitions): files on `replicas`
 * servers, each with its own bound (I10).
 */
import { DiscardPolicy, RetentionPolicy, StorageType, type StreamConfig } from '@nats-io/jetstream';
import type { ShareRules } from '../rules/shares.ts';
import type { Connection } from './connection.ts';

export interface EvidenceLimits {
  messagesMax: number;
  /** Whole messages, with subjects, headers and the server's overhead. */
  bytesMax: number;
  /** Of each gateway at each source. Default: no bound but that of all. */
  shares?: ShareRules;
}

/** The room below the server's bound, in which routers drop messages by account (account-bound.ts). */
export const ROOM: Pick<EvidenceLimits, 'messagesMax' | 'bytesMax'> = {
  messagesMax: 10_000,
  bytesMax: 64 * 1024 * 1024,
};

/** The prefix of every stream's description; streams of other programs and of later formats have another. */
export const DESCRIPTION = 'Headgate ledger 1';

type NamedConfig = Partial<StreamConfig> & { name: string };

/**
 * A bounded stream (I10), created with its first message: most ledgers have neither conflicts nor dead
 * letters.
 */
export class EvidenceStream {
  readonly #connection: Connection;
  readonly #config: NamedConfig;
  readonly #ledgerId: () => string | null;
  readonly #bounds: { max_msgs: number; max_bytes: number };
  #made: boolean = false;
  #making: Promise<void> | null = null;
  #there: boolean = false;

  constructor(
    connection: Connection,
    stream: { name: string; subjects: string[] },
    replicas: number,
    limits: EvidenceLimits,
    ledgerId: () => string | null,
  ) {
    this.#ledgerId = ledgerId;
    const { messagesMax, bytesMax } = limits;
    this.#connection = connection;
    this.#bounds = { max_msgs: messagesMax, max_bytes: bytesMax };
    this.#config = { ...streamDefaults(replicas), ...stream, ...this.#bounds, allow_direct: true };
  }

  get name(): string {
    return this.#config.name;
  }

  /** Concurrent callers go on in the order of their calls. */
  async make(): Promise<void> {
    if (this.#made) return;
    this.#making ??= this.#make().finally(() => {
      this.#making = null;
    });
    await this.#making;
  }

  async #make(): Promise<void> {
    const id = this.#ledgerId();
    const description = id === null ? DESCRIPTION : `${DESCRIPTION} ${id}`;
    await this.#connection.ensureStream({ ...this.#config, description });
    // The stream may have been created with another configuration.
    await this.#connection.bound(this.#config.name, this.#bounds);
    this.#made = true;
    this.#there = true;
  }

  async isThere(): Promise<boolean> {
    this.#there ||= await this.#connection.hasStream(this.#config.name);
    return this.#there;
  }
}

/** The common configuration of a ledger's streams. */
export function streamDefaults(replicas: number): Partial<StreamConfig> {
  return {
    description: DESCRIPTION,
    storage: StorageType.File,
    retention: RetentionPolicy.Limits,
    discard: DiscardPolicy.Old,
    num_replicas: replicas,
  };
}
