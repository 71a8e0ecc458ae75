/** A consumer's link to one partition: from where its selector says, as far as its credit goes. */
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

/** Fields that rhea's types leave out. */
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
  // rhea takes a message off the credit when it writes it, which is later; what it holds back would block
  // other links.
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
  // Never in the turn that answers the attach: rhea would put the first transfer before it on the wire.
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
 * An event as the endpoint of an IoT hub sends it (Azure docs, "Read device-to-cloud messages from the
 * built-in endpoint").
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

/** `amqp.annotation.x-opt-offset > '123'`; without a filter, from the oldest event. */
function parseSelector(sender: Sender): Selector {
  const filter: unknown = sender.source.filter?.[SELECTOR];
  const [, field = '', operator, value = '-1'] =
    /annotation\.([a-z-]+) (>=?) '([^']*)'/.exec(selectorText(filter)) ?? [];
  const by = SELECTOR_FIELDS.get(field);
  return by ? { by, value, inclusive: operator === '>=' } : { by: 'offset', value: '-1', inclusive: false };
}

/** A described string arrives as rhea's wrapper around it. */
function selectorText(filter: unknown): string {
  if (typeof filter === 'object' && filter !== null && 'value' in filter) return selectorText(filter.value);
  return typeof filter === 'string' ? filter : '';
}
