/** The options of an entry that say which way its connections take; spread into the entry's own object. */
import { isIP } from 'node:net';
import { z } from 'zod';
import { areUrlPartsEncoded } from './url-parts.ts';

/** In place of a URL: no proxy, whatever the environment says. */
export const NO_PROXY = 'none';
/** An interface's name in Linux: at most 15 characters, neither blank nor "/" (IFNAMSIZ). */
const INTERFACE = /^[^\s/:]{1,15}$/;

const proxy = z
  .string()
  .refine((text) => text === NO_PROXY || isProxyUrl(text), {
    message: `expected http://host:port, also https:// and with user:password@, or ${NO_PROXY}; SOCKS is not supported`,
  })
  .optional()
  .describe(
    'An HTTP proxy for this entry, such as http://proxy:3128; none: directly. Default: HTTPS_PROXY, HTTP_PROXY and NO_PROXY.',
  );

const localAddress = z
  .string()
  .refine((text) => isIP(text) !== 0 || INTERFACE.test(text), {
    message: 'expected an IP address of this machine, or the name of an interface such as wwan0',
  })
  .optional()
  .describe('Connections come from this address, or from that of this interface.');

/** Of entries whose connections can begin at a given address. */
export const networkAccess = { proxy, local_address: localAddress };
/** Of entries whose SDK leaves the address to the system. */
export const proxyAccess = { proxy };

export interface NetworkAccess {
  proxy?: string | undefined;
  local_address?: string | undefined;
}

/** Whether a text is the URL of a proxy that can be used. */
export function isProxyUrl(text: string): boolean {
  if (!URL.canParse(text) || !areUrlPartsEncoded(text)) return false;
  const { protocol, hostname, pathname, search } = new URL(text);
  return /^https?:$/.test(protocol) && hostname !== '' && pathname === '/' && search === '';
}
