/**
 * Receipts through Azure: a desired property of the device's twin, over the connection of the provider that
 * publishes as this device. The twin is read once on each connection; afterwards the hub sends a notification
 * for each change. The twin keeps the newest receipt, so an offline gateway loses none.
 *
 * A hub of the basic tier has no twins. It ends a connection that requests one, with all publishes in flight
 * (eclipse-threadx/getting-started#67). So a read that ends connections repeatedly is retried with a growing
 * pause.
 */
import { pauseCeilingMs } from '../../shared/backoff.ts';
import type { Clock } from '../../shared/clock.ts';
import type { Twin, TwinLink } from '../providers/twin-link.ts';
import type { ReceiptQuestion } from './downlink.ts';
import type { AzureDownlinkConfig } from './options.ts';
import type { ReceiptTracker } from './receipt-tracker.ts';
import type { ReceiptReceiver } from './receiver.ts';

const WAIT_MS = 20_000;
const SPACING_MS = 100;
/** Connections in a row that ended while the twin was read on them. One may be a restart of the hub. */
const LOST_MAX = 2;
const LOST_PAUSES = { firstMs: 5 * 60_000, lastMs: 60 * 60_000 };
const LOST =
  'the connection ended while the twin was read; a hub of the basic tier has no twins, and ends it each time';

export interface TwinQuestionOptions {
  config: AzureDownlinkConfig;
  link: TwinLink;
  receiver: ReceiptReceiver;
  tracker: Pick<ReceiptTracker, 'onCloudReceipt' | 'isWaiting'>;
  clock: Clock;
}

export class TwinQuestion implements ReceiptQuestion {
  readonly spacingMs = SPACING_MS;
  readonly #options: TwinQuestionOptions;
  /** Aborts the question under way. */
  #end = new AbortController();
  /** The connection whose twin was read. */
  #read: Twin | null = null;
  /** The newest receipt; each connection delivers it again. */
  #newest: string | null = null;
  #lost = 0;
  #pausedUntilMs = Number.NEGATIVE_INFINITY;

  constructor(options: TwinQuestionOptions) {
    this.#options = options;
  }

  async ask(): Promise<string | null> {
    const { clock, config } = this.#options;
    const end = new AbortController();
    const timer = clock.setTimer(WAIT_MS, () => end.abort());
    this.#end = end;
    const { signal } = end;
    try {
      const pauseMs = this.#pausedUntilMs - clock.monoMs();
      if (pauseMs > 0) {
        await clock.sleep(Math.min(pauseMs, WAIT_MS), signal);
        return LOST;
      }
      const channel = await this.#channel(signal);
      if (channel === null) return `the provider ${config.provider} is not connected`;
      if (channel !== this.#read) return await this.#readTwin(channel, signal);
      this.#take(await channel.next(signal));
      return null;
    } finally {
      timer.cancel();
    }
  }

  close(): void {
    this.#end.abort();
  }

  /**
   * While no record waits for a receipt, the downlink does not open a connection that the provider does not
   * need itself.
   */
  async #channel(signal: AbortSignal): Promise<Twin | null> {
    const { link, tracker } = this.#options;
    if (link.channel === null && tracker.isWaiting) await link.connect(signal);
    else await link.untilOpened(signal);
    return link.channel;
  }

  async #readTwin(channel: Twin, signal: AbortSignal): Promise<string | null> {
    const read = await channel.read(signal);
    if (read.kind === 'read') {
      this.#read = channel;
      this.#lost = 0;
      this.#take(read.text);
      return null;
    }
    if (!read.connectionLost) {
      this.#lost = 0;
      return read.problem;
    }
    this.#lost += 1;
    if (this.#lost < LOST_MAX) return LOST;
    this.#pausedUntilMs =
      this.#options.clock.monoMs() + pauseCeilingMs(LOST_PAUSES, this.#lost - LOST_MAX + 1);
    return LOST;
  }

  #take(text: string | null): void {
    const { receiver, tracker, config } = this.#options;
    const isNews = text !== null && text !== this.#newest;
    if (isNews) this.#newest = text;
    const result = isNews ? receiver.receive(config.name, Buffer.from(text)) : receiver.again(config.name);
    if (result === 'applied') tracker.onCloudReceipt();
  }
}
