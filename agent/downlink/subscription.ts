/**
 * Receipts through a Pub/Sub subscription for this gateway alone. Pub/Sub holds each pull until there is a
 * message. Every message is acknowledged once it was read: the next receipt makes up for one that is lost in
 * a crash.
 */
import type { Clock } from '../../shared/clock.ts';
import { errorText } from '../../shared/log.ts';
import type { ReceiptQuestion } from './downlink.ts';
import type { GcpDownlinkConfig } from './options.ts';
import type { ReceiptTracker } from './receipt-tracker.ts';
import type { ReceiptReceiver } from './receiver.ts';
import type { SubscriptionPull } from './subscription-pull.ts';
import { TwoSlots } from './two-slots.ts';

const SPACING_MS = 1000;
/** The attribute with the receiver's name; the subscription's filter uses it. */
const GATEWAY_ATTRIBUTE = 'gateway';

export interface SubscriptionOptions {
  config: GcpDownlinkConfig;
  gateway: string;
  receiver: ReceiptReceiver;
  tracker: Pick<ReceiptTracker, 'onCloudReceipt'>;
  clock: Clock;
}

export class SubscriptionQuestion implements ReceiptQuestion {
  readonly spacingMs = SPACING_MS;
  readonly #options: SubscriptionOptions;
  readonly #slots: TwoSlots<GcpDownlinkConfig>;
  #pull: SubscriptionPull | null = null;
  #closed: boolean = false;

  constructor(options: SubscriptionOptions) {
    this.#options = options;
    this.#slots = new TwoSlots(options.config);
  }

  async ask(): Promise<string | null> {
    try {
      this.#pull ??= await this.#open();
    } catch (error) {
      this.#slots.refused();
      return errorText(error);
    }
    const pull = this.#pull;
    // Stopped while the channel was being opened.
    if (this.#closed) pull.cut();
    const answer = await pull.next();
    if (answer.kind === 'messages') {
      this.#take(answer.messages);
      return pull.acknowledge(answer.messages.map(({ ackId }) => ackId));
    }
    if (answer.unauthorized) {
      // The files of either slot may be renewed meanwhile: they are read again.
      pull.cut();
      this.#pull = null;
      this.#slots.refused();
    }
    return answer.problem;
  }

  close(): void {
    this.#closed = true;
    this.#pull?.cut();
  }

  async #open(): Promise<SubscriptionPull> {
    const { SubscriptionPull: Pull } = await import('./subscription-pull.ts');
    return Pull.open(this.#slots.current, this.#options.clock);
  }

  #take(messages: ReadonlyArray<{ data: Uint8Array; attributes: Record<string, string> }>): void {
    const { receiver, tracker, gateway, config } = this.#options;
    let applied = messages.length === 0 && receiver.again(config.name) === 'applied';
    for (const { data, attributes } of messages) {
      if (attributes[GATEWAY_ATTRIBUTE] !== gateway) receiver.passOver();
      else if (receiver.receive(config.name, data) === 'applied') applied = true;
    }
    if (applied) tracker.onCloudReceipt();
  }
}
