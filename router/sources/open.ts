/** The table of source types, the schema of `sources[]` and the opening of sources by type. */
import { z } from 'zod';
import type { ConnectCheck, ConnectDeps } from '../../shared/connect-check/phases.ts';
import { eventHubsType } from './event-hubs/type.ts';
import { httpsType } from './https/type.ts';
import type { Identities } from './identities.ts';
import { mqttType } from './mqtt/type.ts';
import { pubsubType } from './pubsub/type.ts';
import type { Source } from './source.ts';
import type { OpeningDeps, SourceIssue } from './source-type.ts';
import { sqsType } from './sqs/type.ts';

/** Source types by the entry's `type`. */
const SOURCE_TYPES = {
  aws: sqsType,
  azure: eventHubsType,
  gcp: pubsubType,
  mqtt: mqttType,
  https: httpsType,
};

const [first, ...others] = Object.values(SOURCE_TYPES).map(({ schema }) => schema);
if (first === undefined) throw new Error('the table of source types is empty');

export const sourceSchema = z
  .discriminatedUnion('type', [first, ...others])
  .describe('One cloud to read from.');

export type SourceConfig = z.output<typeof sourceSchema>;

/** Any type of the table; the schema has checked that `config` is of this type. */
interface AnySourceType {
  check?(config: { type: string; name: string }): SourceIssue[];
  open(config: { type: string; name: string }, deps: OpeningDeps): Promise<Source>;
  connectCheck(config: { type: string; name: string }, deps: ConnectDeps): Promise<ConnectCheck>;
}

export async function openSource(config: SourceConfig, deps: OpeningDeps): Promise<Source> {
  const type: AnySourceType = SOURCE_TYPES[config.type];
  return type.open(config, deps);
}

/** For `config check --connect`. Rejects when a file or value of the entry is unusable. */
export async function sourceConnectCheck(config: SourceConfig, deps: ConnectDeps): Promise<ConnectCheck> {
  const type: AnySourceType = SOURCE_TYPES[config.type];
  return type.connectCheck(config, deps);
}

/** For `config check`: mistakes within an entry that its schema takes; none when the schema refuses it. */
export function sourceIssues(entry: unknown): SourceIssue[] {
  const parsed = sourceSchema.safeParse(entry);
  if (!parsed.success) return [];
  const type: AnySourceType = SOURCE_TYPES[parsed.data.type];
  return type.check?.(parsed.data) ?? [];
}

/** By source: authenticated names, each with the gateway that it may send for. */
export function identitiesOf(
  sources: ReadonlyArray<{ name: string; identities?: Identities }>,
): ReadonlyMap<string, Identities> {
  return new Map(sources.map(({ name, identities = {} }) => [name, identities] as const));
}
