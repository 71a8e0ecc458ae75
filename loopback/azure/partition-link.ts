/** A consumer's link to one partition: sends from the selector's position, within the link's credit. */
import rhea, { type Message, type Sender } from 'rhea';
import type { EventLog, HubEvent, Partition, Selector } from './event-log.ts';

const SELECTOR = 'apache.org:selector-filter:string';
const SELECTOR_FIELDS: ReadonlyMap<string, Selector['by']> = new Map([
  ['x-opt-offset', 'offset'],
  ['x-opt-sequence-number', 'sequence-number'],
  ['x-opt-enqueued-time', 'enqueued-time'],
]);

export interface PartitionLink {
  sender: Sender;
  partition: Partition;
  events: EventLog;
  onDelivered: () => void;
  isStalled: () => boolean;
}

/** Fields that rhea's types omit. */
interface LinkState {
  credit: number;
  delivery_count: number;
}

/** Sends events until the link ends. */
export function servePartition({ sender, partition, events, onDelivered, isStalled }: PartitionLink): void {
  let next = partition.seek(parseSelector(sender));
  let pending: boolean = false;
  let sent = 0;
  const link = sender as Sender & LinkState;
  // rhea subtracts a message from the credit only when it writes it, which is later; messages that it holds
  // back would block other links.
  const hasCredit = (): boolean => link.credit > sent - link.delivery_count && sender.sendable();
  const pump = (): void => {
    pending = false;
    while (!isStalled() && sender.is_open() && hasCredit()) {
      const event = partition.at(next);
      if (!event) return;
      sender.send(encode(event));
      sent += 1;
      next = event.sequenceNumber + 1;
      onDelivered();
    }
  };
  // Never in the turn that answers the attach: rhea would write the first transfer before the attach.
  const wake = (): void => {
    if (!pending) setImmediate(pump);
    pending = true;
  };
  const unwatch = events.watch(wake);
  sender.on('sendable', wake);
  sender.on('settled', wake);
  sender.on('sender_close', unwatch);
  sender.connection.on('disconnected', unwatch);
}

/**
 * An event in the form of an IoT hub's endpoint (Azure docs, "Read device-to-cloud messages from the built-in
 * endpoint").
 */
function encode(event: HubEvent): Message {
  return {
    message_annotations: {
      'x-opt-sequence-number': rhea.types.wrap_long(event.sequenceNumber),
      'x-opt-offset': event.offset,
      'x-opt-enqueued-time': rhea.types.wrap_timestamp(event.enqueuedMs),
      'iothub-connection-device-id': event.device,
      'iothub-enqueuedtime': rhea.types.wrap_timestamp(event.enqueuedMs),
      'iothub-message-source': 'Telemetry',
    },
    application_properties: event.properties,
    body: rhea.message.data_section(event.body),
  };
}

/** For example `amqp.annotation.x-opt-offset > '123'`; without a filter, from the oldest event. */
function parseSelector(sender: Sender): Selector {
  const filter: unknown = sender.source.filter?.[SELECTOR];
  const [, field = '', operator, value = '-1'] =
    /annotation\.([a-z-]+) (>=?) '([^']*)'/.exec(selectorText(filter)) ?? [];
  const by = SELECTOR_FIELDS.get(field);
  return by ? { by, value, inclusive: operator === '>=' } : { by: 'offset', value: '-1', inclusive: false };
}

/** rhea wraps a described string. */
function selectorText(filter: unknown): string {
  if (typeof filter === 'object' && filter !== null && 'value' in filter) return selectorText(filter.value);
  return typeof filter === 'string' ? filter : '';
}
