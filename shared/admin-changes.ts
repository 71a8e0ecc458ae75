/**
 * Who may change settings through an admin server, which has no login: only programs on this machine. Remote
 * hosts may not, even when the server listens on the network; nor may a web page in a browser on this
 * machine, even through a DNS name that points here.
 */
import { isLoopback } from './config/common.ts';

interface ChangeRequest {
  ip: string;
  headers: Readonly<Record<string, unknown>>;
}

/**
 * Headers that browsers send with a page's requests; Fetch, sections "Origin header" and "Sec-Fetch-Site".
 */
const OF_BROWSERS = ['origin', 'sec-fetch-site'];

/** Why the change is refused; null when it is allowed. */
export function changeRefusal({ ip, headers }: ChangeRequest): string | null {
  if (!isLoopback(ip.replace(/^::ffff:/, ''))) return 'changes are taken from this machine alone';
  if (OF_BROWSERS.some((name) => headers[name] !== undefined)) return 'changes are not taken from a browser';
  const host = headers['host'];
  const url = typeof host === 'string' ? `http://${host}` : '';
  const name = URL.canParse(url) ? new URL(url).hostname.replace(/^\[(.*)\]$/, '$1') : '';
  return isLoopback(name) ? null : 'changes are taken under the name of this machine alone: 127.0.0.1';
}
