/**
 * An entry of the table of source types (open.ts). A new type is one folder with a `type.ts` and one line in
 * the table; the schema of router.yaml, its reference and the opening follow from the table.
 */
import { z } from 'zod';
import { identifier } from '../../shared/config/kinds.ts';
import type { ConnectCheck, ConnectDeps } from '../../shared/connect-check/phases.ts';
import type { CheckpointStore } from '../ledger/checkpoints.ts';
import type { ReceiptForm } from '../receipts/form.ts';
import type { Receipts } from '../receipts/receipts.ts';
import type { Source, SourceDeps } from './source.ts';

/** For entries whose provider authenticates the sender of a message. */
export const identities = z
  .record(z.string().min(1), identifier())
  .default({})
  .describe(
    'Names that the provider authenticates (device id, client id, thing, common name), each with the gateway it may send for, where the two differ.',
  );

/** The dependencies that a source of any type may need. */
export interface OpeningDeps extends SourceDeps {
  checkpoints: CheckpointStore;
  receipts: Receipts;
  form: ReceiptForm;
}

/** A mistake in an entry that its schema cannot see. */
export interface SourceIssue {
  /** Within the entry. */
  path: PropertyKey[];
  message: string;
  hint: string;
}

export interface SourceType<Schema extends z.ZodType = z.ZodType> {
  /** The schema of one `sources[]` entry; its `type` is a literal. */
  readonly schema: Schema;
  /** `config check`: what of the entry does not fit itself. */
  check?(config: z.output<Schema>): SourceIssue[];
  /**
   * Makes the source; it reads nothing before `start`. The vendor's SDK is loaded here: commands that only
   * read the configuration do without.
   */
  open(config: z.output<Schema>, deps: OpeningDeps): Promise<Source>;
  /**
   * `config check --connect`: the phases up to a message that was read and is still there for the router.
   * Rejects when a file or value of the entry is unusable.
   */
  connectCheck(config: z.output<Schema>, deps: ConnectDeps): Promise<ConnectCheck>;
}

/** Infers the schema's type, so that `open` gets the parsed entry. */
export function sourceType<Schema extends z.ZodType>(type: SourceType<Schema>): SourceType<Schema> {
  return type;
}
