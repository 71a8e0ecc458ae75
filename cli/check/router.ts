/** Finds settings of a valid router.yaml that cannot work as written. */
import { dirname } from 'node:path';
import { sourceIssues } from '../../router/sources/open.ts';
import { folderFindings } from './files.ts';
import { entries, type Finding, mapping, text } from './finding.ts';
import { ocspFindings } from './ocsp.ts';
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
  const own = sources.flatMap(([index, source]) =>
    sourceIssues(source).map((issue) => ({ ...issue, path: ['sources', index, ...issue.path] })),
  );
  return [...portFindings(listeners), ...own];
}

/** Of files on this machine. */
export function sourceFileFindings(config: unknown): Finding[] {
  return entries(mapping(config)['sources']).flatMap(([index, source]) =>
    ocspFindings(source).map((finding) => ({ ...finding, path: ['sources', index, ...finding.path] })),
  );
}

/** Folders that feeds write to. */
export function feedFolderFindings(config: unknown): Finding[] {
  return entries(mapping(config)['feeds']).flatMap(([index, { type, file }]) =>
    type === 'ndjson' && typeof file === 'string' && file !== '-'
      ? folderFindings(dirname(file), ['feeds', index, 'file'])
      : [],
  );
}
