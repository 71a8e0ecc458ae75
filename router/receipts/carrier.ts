/** Pushes a receipt to a gateway: through a topic, a shadow or a twin. */
import type { Receipt } from '../../shared/receipt.ts';

export type Carried =
  | { kind: 'sent' }
  /** The cloud refused this gateway's receipt, and would refuse it again. */
  | { kind: 'refused'; problem: string }
  /** Receipts of other gateways would fail too. */
  | { kind: 'failed'; problem: string };

export interface Carrier {
  /** The longest receipt it takes, as JSON. */
  readonly bytesMax: number;
  /** Settles in bounded time, at once when `signal` aborts. Never rejects. */
  send(receipt: Receipt, signal: AbortSignal): Promise<Carried>;
  close(): Promise<void>;
}
