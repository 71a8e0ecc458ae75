/** What takes a receipt to a gateway without being asked: a topic, a shadow, a twin. */
import type { Receipt } from '../../shared/receipt.ts';

export type Carried =
  | { kind: 'sent' }
  /** Nothing was sent, and nothing would be with another try: this gateway's alone. */
  | { kind: 'refused'; problem: string }
  /** Others would fare no better now. */
  | { kind: 'failed'; problem: string };

export interface Carrier {
  /** The longest receipt it takes, as JSON. */
  readonly bytesMax: number;
  /** Settles in bounded time, at once when `signal` aborts. Never rejects. */
  send(receipt: Receipt, signal: AbortSignal): Promise<Carried>;
  close(): Promise<void>;
}
