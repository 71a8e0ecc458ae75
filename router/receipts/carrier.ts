/** Pushes a document to a gateway: through a topic, a shadow or a twin. */

export type Carried =
  | { kind: 'sent' }
  /** The cloud refused this gateway's receipt, and would refuse it again. */
  | { kind: 'refused'; problem: string }
  /** Receipts of other gateways would fail too. */
  | { kind: 'failed'; problem: string };

export interface Carriage {
  gateway: string;
  /** A JSON object in ASCII. */
  text: string;
}

export interface Carrier {
  /** The longest text it takes. */
  readonly bytesMax: number;
  /** Settles in bounded time, at once when `signal` aborts. Never rejects. */
  send(carriage: Carriage, signal: AbortSignal): Promise<Carried>;
  close(): Promise<void>;
}
