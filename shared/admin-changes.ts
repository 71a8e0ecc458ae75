/**
 * Only programs on this machine may change settings through an admin server, which has no login. Remote hosts
 * may not, even when the server listens on the network; nor may a web page in a browser on this machine, even
 * through a DNS name that points here.
 */
import { isIP } from 'node:net';
import { isLoopback } from './config/common.ts';

interface ChangeRequest {
  ip: string;
  headers: Readonly<Record<string, unknown>>;
}

/**
 * Headers that browsers send with a page's requests; Fetch, sections "Origin header" and "Sec-Fetch-Site".
 */
const OF_BROWSERS = ['origin', 'sec-fetch-site'];

/**
 * Why a read is refused; null when it is allowed. A web page whose DNS name points here would otherwise
 * read the answers as its own: its requests carry that name. `hostNames`: of this machine and of
 * `admin.host_names`.
 */
export function readRefusal(
  headers: Readonly<Record<string, unknown>>,
  hostNames: readonly string[],
): string | null {
  const host = headers['host'];
  // No browser leaves it out; probes of HTTP/1.0 do.
  if (host === undefined) return null;
  const name = hostNameOf(host);
  const isKnown =
    isIP(name) !== 0 || name === 'localhost' || hostNames.some((known) => known.toLowerCase() === name);
  return isKnown ? null : 'this name is not of this machine: use its address, or list it in admin.host_names';
}

function hostNameOf(host: unknown): string {
  // A name and a port alone (RFC 9110, section 7.2): no user, no path.
  const url = typeof host === 'string' && !/[@/\\?#]/.test(host) ? `http://${host}` : '';
  return URL.canParse(url) ? new URL(url).hostname.replace(/^\[(.*)\]$/, '$1') : '';
}

/** Why the change is refused; null when it is allowed. */
export function changeRefusal({ ip, headers }: ChangeRequest): string | null {
  if (!isLoopback(ip.replace(/^::ffff:/, ''))) return 'changes are taken from this machine alone';
  if (OF_BROWSERS.some((name) => headers[name] !== undefined)) return 'changes are not taken from a browser';
  return isLoopback(hostNameOf(headers['host']))
    ? null
    : 'changes are taken under the name of this machine alone: 127.0.0.1';
}
