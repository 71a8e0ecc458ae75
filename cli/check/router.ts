/** A router.yaml that is valid, and does not do what it says. */
import { dirname } from 'node:path';
import { folderFindings } from './files.ts';
import { type Entry, entries, type Finding, mapping, text } from './finding.ts';
import { type Listener, portFindings } from './ports.ts';

export function routerFindings(config: unknown): Finding[] {
  const router = mapping(config);
  const sources = entries(router['sources']);
  const admin = mapping(router['admin']);
  const listeners: Listener[] = [
    { path: ['admin', 'port'], host: text(admin['host']) ?? '127.0.0.1', port: admin['port'] ?? 9465 },
    ...sources
      .filter(([, { type }]) => type === 'https')
      .map(([index, { host, port }]) => ({
        path: ['sources', index, 'port'],
        host: text(host) ?? '127.0.0.1',
        port,
      })),
  ];
  return [...portFindings(listeners), ...sources.flatMap(([index, source]) => otherRegion(index, source))];
}

/** A queue's address names its region, and requests are signed for that of the source. */
function otherRegion(index: number, { region, queue_url: queue }: Entry): Finding[] {
  const named = /^https:\/\/sqs\.([a-z0-9-]+)\.amazonaws\.com/.exec(text(queue) ?? '')?.[1];
  if (named === undefined || named === region) return [];
  const message = `the queue is in ${named}, the region is ${String(region)}`;
  return [{ path: ['sources', index, 'region'], message, hint: `write region: ${named}` }];
}

/** Folders that feeds write into. */
export function feedFolderFindings(config: unknown): Finding[] {
  return entries(mapping(config)['feeds']).flatMap(([index, { type, file }]) =>
    type === 'ndjson' && typeof file === 'string' && file !== '-'
      ? folderFindings(dirname(file), ['feeds', index, 'file'])
      : [],
  );
}
