/**
 * Two things that the vendor's SDK (6.0.4) does not offer, by way of the AMQP connection that it keeps to
 * itself: to learn that the service attached a receiver, and a bound on the events that the service may send
 * ahead (I10). The SDK adds the whole prefetch to a link's credit with each batch that it hands over,
 * whatever is left of it, so that a link on which single events arrive gathers credit for thousands.
 */

/** Called with each receiver's link once the service has attached it; `prefetch` bounds its credit. */
export function watchLinks(client: object, prefetch: number, onAttached: () => void): void {
  const connection = objectAt(objectAt(client, '_context'), 'connection');
  const create = functionAt(connection, 'createReceiver');
  Reflect.set(connection, 'createReceiver', async (options: unknown): Promise<unknown> => {
    const receiver: unknown = await create.call(connection, options);
    if (typeof receiver !== 'object' || receiver === null) throw misfit('createReceiver');
    boundCredit(receiver, prefetch);
    onAttached();
    return receiver;
  });
}

/** The SDK asks for what its own queue has room for; of that the link may have some already. */
function boundCredit(receiver: object, prefetch: number): void {
  const add = functionAt(receiver, 'addCredit');
  Reflect.set(receiver, 'addCredit', (asked: number): void => {
    const held: unknown = Reflect.get(receiver, 'credit');
    const room = Math.min(asked, prefetch) - (typeof held === 'number' ? held : 0);
    if (room > 0) add.call(receiver, room);
  });
}

function objectAt(target: object, name: string): object {
  const value: unknown = Reflect.get(target, name);
  if (typeof value !== 'object' || value === null) throw misfit(name);
  return value;
}

function functionAt(target: object, name: string): (...given: unknown[]) => unknown {
  const value: unknown = Reflect.get(target, name);
  if (!isFunction(value)) throw misfit(name);
  return value;
}

function isFunction(value: unknown): value is (...given: unknown[]) => unknown {
  return typeof value === 'function';
}

/** A newer SDK, which test/router/sources/event-hubs/links.test.ts finds out. */
function misfit(name: string): Error {
  return new Error(`the Event Hubs SDK has no ${name} where version 6.0.4 has it`);
}
