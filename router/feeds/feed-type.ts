/**
 * The contents of the table of feed types (open.ts). A new type is one file in sinks/ and one line in the
 * table: the schema of router.yaml, its reference and the opening follow from it.
 */
import type { Writable } from 'node:stream';
import { z } from 'zod';
import type { Clock } from '../../shared/clock.ts';
import type { ConnectCheck, ConnectDeps } from '../../shared/connect-check/phases.ts';
import type { Logger } from '../../shared/log.ts';
import { entryName } from '../entry-name.ts';
import { holdBackOptions } from './hold-back-options.ts';
import type { FeedSink } from './sink.ts';

/** The dependencies that a sink of any type may need. */
export interface SinkDeps {
  clock: Clock;
  log: Logger;
  /** Where `file: "-"` writes. */
  stdout: Writable;
}

export interface FeedType<Schema extends z.ZodType = z.ZodType> {
  /** Schema of a `feeds[]` entry; its `type` is a literal. */
  readonly schema: Schema;
  /** Its destination stores the feed's position, beside the records. */
  readonly keepsPosition?: boolean;
  /** Loads the client's library and makes the sink, which connects with its first write. */
  open(config: z.output<Schema>, deps: SinkDeps): Promise<FeedSink>;
  /**
   * `config check --connect`: the phases up to what can be known of the right to write without a record.
   * Rejects when a file or value of the entry is unusable.
   */
  connectCheck(config: z.output<Schema>, deps: ConnectDeps): Promise<ConnectCheck>;
}

/** The options that all `feeds[]` entries share. */
export const everyFeed = {
  name: entryName,
  hold_back: holdBackOptions.exactOptional(),
  quarantine_after: z
    .int()
    .min(0)
    .max(100_000)
    .default(20)
    .describe(
      'Refusals of one record after which the feed passes over it and keeps it for headgate feeds retry; 20 take about seven minutes. 0: never, the feed waits for the destination.',
    ),
};

/** Infers the schema's type, so that `open` gets the parsed entry. */
export function feedType<Schema extends z.ZodType>(type: FeedType<Schema>): FeedType<Schema> {
  return type;
}
