/** To which device session state belongs. */

/** The name of the device that the client id belongs to: client ids are `<name>` or `<name>/<suffix>`. */
export function deviceOf(clientId: string): string {
  const end = clientId.indexOf('/');
  return end < 0 ? clientId : clientId.slice(0, end);
}

/** The device that published the packet; undefined where that is not known. */
export function publisherOf(packet: object): string | undefined {
  const clientId: unknown = Reflect.get(packet, 'clientId');
  return typeof clientId === 'string' ? deviceOf(clientId) : undefined;
}
