/**
 * Two functions that the vendor's SDK (6.0.4) does not offer, built on its private AMQP connection: a
 * callback when the service has attached a receiver, and a bound on the events that the service may send
 * ahead (I10). The SDK adds the whole prefetch to a link's credit with each batch that it delivers, without
 * counting the credit that is left. A link on which single events arrive would gather credit for thousands.
 */

/**
 * Calls `onAttached` for each receiver's link once the service has attached it; `prefetch` bounds the link's
 * credit.
 */
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

/**
 * The SDK requests credit for all the room in its own queue; part of that credit may still be on the link.
 */
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

/** The error for another SDK version; test/router/sources/event-hubs/links.test.ts finds it. */
function misfit(name: string): Error {
  return new Error(`the Event Hubs SDK has no ${name} where version 6.0.4 has it`);
}
