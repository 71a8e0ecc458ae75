/**
 * Entries whose endpoint is the environment's: a variable that was set for a try-out must not lead a
 * gateway's records to a local server without a word.
 */
import { environmentEndpoint } from './aws.ts';
import { placeOf } from './gcp/connection.ts';
import { errorText, type Logger } from './log.ts';

interface Entry {
  name: string;
  type: string;
  endpoint?: string | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** One line for each such entry, and for a variable that cannot be used. */
export function tellEnvironmentEndpoints(
  entries: readonly Entry[],
  log: Pick<Logger, 'warn'>,
  env: Environment = process.env,
): void {
  for (const entry of entries) {
    try {
      const found = endpointOf(entry, env);
      if (found) log.warn({ event: 'environment.endpoint', entry: entry.name, ...found });
    } catch (error) {
      log.warn({ event: 'environment.endpoint', entry: entry.name, error: errorText(error) });
    }
  }
}

/** Every entry of AWS without an endpoint is a queue. */
function endpointOf(
  { type, endpoint }: Entry,
  env: Environment,
): { variable: string; endpoint: string } | null {
  if (endpoint !== undefined) return null;
  if (type === 'aws') {
    const found = environmentEndpoint('SQS', env);
    return found && { variable: found.variable, endpoint: found.url };
  }
  if (type !== 'gcp') return null;
  const { host, port, option } = placeOf({}, env);
  return option === 'endpoint' ? null : { variable: option, endpoint: `${host}:${port}` };
}
