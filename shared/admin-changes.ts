/**
 * Who may change something through an admin server, which has no login: a program on this machine. Not the
 * network, even when the server listens there; and no web page that a browser on this machine shows, also not
 * through a name that was made to point here.
 */
import { isLoopback } from './config/common.ts';

interface ChangeRequest {
  ip: string;
  headers: Readonly<Record<string, unknown>>;
}

/**
 * Headers that browsers send with what a page asks for; Fetch, sections "Origin header" and "Sec-Fetch-Site".
 */
const OF_BROWSERS = ['origin', 'sec-fetch-site'];

/** Why it may not; null when it may. */
export function changeRefusal({ ip, headers }: ChangeRequest): string | null {
  if (!isLoopback(ip.replace(/^::ffff:/, ''))) return 'changes are taken from this machine alone';
  if (OF_BROWSERS.some((name) => headers[name] !== undefined)) return 'changes are not taken from a browser';
  const host = headers['host'];
  const url = typeof host === 'string' ? `http://${host}` : '';
  const name = URL.canParse(url) ? new URL(url).hostname.replace(/^\[(.*)\]$/, '$1') : '';
  return isLoopback(name) ? null : 'changes are taken under the name of this machine alone: 127.0.0.1';
}
