/** Finds two listeners of one program on the same port. */
import type { Path } from '../../shared/config/document.ts';
import type { Finding } from './finding.ts';

export interface Listener {
  path: Path;
  host: string;
  port: unknown;
}

const EVERY_ADDRESS: readonly string[] = ['0.0.0.0', '::'];

/** The later listener of each pair. Port 0 takes a free port. */
export function portFindings(listeners: readonly Listener[]): Finding[] {
  return listeners.flatMap(({ path, host, port }, index): Finding[] => {
    const other = listeners
      .slice(0, index)
      .find((earlier) => earlier.port === port && meet(earlier.host, host));
    if (other === undefined || port === 0 || port === undefined) return [];
    const message = `port ${String(port)} of ${host} is taken by ${other.path.map(String).join('.')}`;
    return [{ path, message, hint: 'give each listener a port of its own' }];
  });
}

function meet(a: string, b: string): boolean {
  const plain = (host: string): string => (host === 'localhost' ? '127.0.0.1' : host);
  return plain(a) === plain(b) || EVERY_ADDRESS.includes(a) || EVERY_ADDRESS.includes(b);
}
