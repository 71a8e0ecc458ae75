/** The address that connections of an entry come from. */
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';

export interface Origin {
  localAddress?: string;
  family?: number;
}

/**
 * Looked up for each connection, since an interface gets another address when its network changes. Throws
 * ENODEV when the interface has none.
 */
export function originOf(given: string | undefined): Origin {
  if (given === undefined) return {};
  const address = isIP(given) === 0 ? addressOf(given) : given;
  return { localAddress: address, family: isIP(address) };
}

/** IPv4 where it has one; never one that is good on the link alone. */
function addressOf(name: string): string {
  const addresses = networkInterfaces()[name] ?? [];
  const usable = addresses.filter(({ address }) => !/^fe80:/i.test(address));
  const found = usable.find(({ family }) => family === 'IPv4') ?? usable[0];
  if (found) return found.address;
  throw Object.assign(new Error(`ENODEV: the interface ${name} has no address`), { code: 'ENODEV' });
}
