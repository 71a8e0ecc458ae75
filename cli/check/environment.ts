/** Where variables of the environment, and no option, decide the way of an entry. */
import { environmentEndpoint } from '../../shared/aws.ts';
import type { Path } from '../../shared/config/document.ts';
import { placeOf } from '../../shared/gcp/connection.ts';
import { errorText } from '../../shared/log.ts';
import { proxyFor } from '../../shared/network/proxy.ts';
import { type Entry, entries, type Finding, mapping, text } from './finding.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Lists of entries that connect to a cloud, in both files. */
const LISTS: readonly Path[] = [['providers'], ['downlinks'], ['sources'], ['receipts', 'through']];

export function environmentFindings(config: unknown, env: Environment): Finding[] {
  return LISTS.flatMap((list) => {
    const found = list.reduce<unknown>((value, key) => mapping(value)[String(key)], config);
    return entries(found).flatMap(([index, entry]) =>
      ofEntry(entry, list, env).map((finding) => ({ ...finding, path: [...list, index, ...finding.path] })),
    );
  });
}

function ofEntry(entry: Entry, list: Path, env: Environment): Finding[] {
  try {
    switch (entry['type']) {
      case 'aws':
        return awsNotes(entry, list[0] === 'sources', env);
      case 'gcp':
        return emulatorNotes(entry, env);
      case 'azure':
        return list[0] === 'providers' ? directNotes(entry, env) : [];
      default:
        return [];
    }
  } catch (error) {
    // A variable that the program could not use.
    const hint = 'change the variable, or write endpoint or proxy here';
    return [{ path: ['type'], message: errorText(error), hint }];
  }
}

function awsNotes(entry: Entry, isQueue: boolean, env: Environment): Finding[] {
  const endpoint = text(entry['endpoint']);
  const found = environmentEndpoint(isQueue ? 'SQS' : 'IOT_DATA_PLANE', env);
  if (found === null || found.url === endpoint) return [];
  const { url, variable } = found;
  if (endpoint === null)
    return [note(['type'], `requests go to ${url}, as ${variable} says`, 'write endpoint to go elsewhere')];
  const hint = `write endpoint: \${${variable}} to use it`;
  return [note(['endpoint'], `goes before ${variable}, which has no effect`, hint)];
}

function emulatorNotes(entry: Entry, env: Environment): Finding[] {
  const endpoint = text(entry['endpoint']) ?? undefined;
  const { host, port, option } = placeOf({ endpoint }, env);
  if (option === 'endpoint') return [];
  const message = `goes to ${host}:${port} without TLS and credentials, as ${option} says`;
  return [note(['type'], message, 'write endpoint to go elsewhere')];
}

/** The vendor's WebSocket, which alone goes through a proxy, takes tokens and no certificates. */
function directNotes({ credentials }: Entry, env: Environment): Finding[] {
  const x509 = mapping(mapping(credentials)['x509']);
  const host = text(x509['gateway_host_name']) ?? text(x509['host_name']);
  if (host === null) return [];
  const { hostname, port } = new URL(`https://${host}`);
  if (proxyFor({ host: hostname, port: Number(port) || 443, isSecure: true }, undefined, env) === null)
    return [];
  const message = 'a certificate goes directly to the hub on port 8883, not through HTTPS_PROXY';
  return [note(['credentials', 'x509'], message, 'give connection_string to go through the proxy')];
}

function note(path: Path, message: string, hint: string): Finding {
  return { path, message, hint, isNote: true };
}
