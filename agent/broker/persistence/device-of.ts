/** To which device session state belongs. */

import { ANONYMOUS_PREFIX } from '../access/anonymous-prefix.ts';

/**
 * The name of the device that the client id belongs to: client ids are `<name>` or `<name>/<suffix>`. An
 * anonymous client that was given a prefix keeps the bounds of its own id: were they one with those of all
 * others, they would tell which ids have the prefix.
 */
export function deviceOf(clientId: string): string {
  const from = clientId.startsWith(ANONYMOUS_PREFIX) ? ANONYMOUS_PREFIX.length : 0;
  const end = clientId.indexOf('/', from);
  return end < 0 ? clientId : clientId.slice(0, end);
}

/** The device that published the packet; undefined where that is not known. */
export function publisherOf(packet: object): string | undefined {
  const clientId: unknown = Reflect.get(packet, 'clientId');
  return typeof clientId === 'string' ? deviceOf(clientId) : undefined;
}
