/** Which web pages may open a WebSocket. */
import { isIP } from 'node:net';

/**
 * Without an Origin it is no browser. An Origin of the listener's own address is that of a client library,
 * because the listener serves no pages. This holds for an IP address only: any name may point here (DNS
 * rebinding).
 */
export function isOriginAllowed(
  origin: string | undefined,
  host: string | undefined,
  allowed: readonly string[],
): boolean {
  if (origin === undefined) return true;
  if (allowed.includes(origin.toLowerCase())) return true;
  const own = URL.parse(origin);
  const isAddress = own !== null && isIP(own.hostname.replace(/^\[(.*)\]$/, '$1')) !== 0;
  return isAddress && own.host === URL.parse(`${own.protocol}//${host}`)?.host;
}
