/** The gateway's envelopes through each source: dense streams, of which earlier envelopes come again. */
import { encodeEnvelope } from '../../../shared/envelope/codec.ts';
import type { Envelope } from '../../../shared/envelope/envelope.ts';
import { envelope, seqs } from '../../router/ledger/envelopes.ts';
import type { Fields } from '../packets.ts';
import type { FuzzKeys, FuzzSeals, Hostile } from './kinds.ts';
import { privateStream, sealed } from './sealed.ts';
import type { Way } from './world.ts';

const RECORDS_MAX = 20;
/** Envelopes of each source that may be sent again. */
const RECENT_MAX = 50;

export interface Sent {
  stream: string;
  lastSeq: number;
  bytes: Uint8Array;
  isSealed: boolean;
}

export class ValidEnvelopes {
  /** Records that have to be in the ledger: stream/seq and payload. */
  readonly records = new Set<string>();
  readonly #keys: FuzzKeys;
  readonly #seals: FuzzSeals;
  /** The last that each source's cloud has acknowledged. */
  readonly #recent = new Map<string, Sent[]>();
  /** By stream. */
  readonly #nextSeq = new Map<string, number>();

  constructor({ keys, seals }: { keys: FuzzKeys; seals: FuzzSeals }) {
    this.#keys = keys;
    this.#seals = seals;
  }

  /** The next of a source's stream. */
  next(way: Way, fields: Fields, isSealed: boolean): Sent {
    const stream = isSealed ? privateStream(way.source) : `good-${way.source}`;
    const first = this.#nextSeq.get(stream) ?? 1;
    const lastSeq = first + fields.below(RECORDS_MAX);
    this.#nextSeq.set(stream, lastSeq + 1);
    const sent = envelope({ stream, seqs: seqs(first, lastSeq) });
    this.take(sent);
    const bytes = isSealed ? sealed(sent, fields.pick(this.#seals.good), this.#keys) : this.encode(way, sent);
    return { stream, lastSeq, bytes, isSealed };
  }

  /** As the gateway sends it in clear through this source. */
  encode({ signs }: Way, one: Envelope): Uint8Array {
    return encodeEnvelope(one, signs ? this.#keys.own : null);
  }

  take({ stream, records }: Envelope): void {
    for (const { seq, payload } of records) this.records.add(`${stream}/${seq}=${Buffer.from(payload)}`);
  }

  /** Hostile messages that are the gateway's own after all. */
  takeGenuine(hostile: Iterable<Hostile>): void {
    for (const { genuine } of hostile) if (genuine !== null) this.take(genuine);
  }

  acknowledged({ source }: Way, sent: Sent): void {
    this.#recent.set(source, [...(this.#recent.get(source) ?? []).slice(1 - RECENT_MAX), sent]);
  }

  /** One that the source has brought; `elsewhere`: a sealed one that another source has. */
  again({ source }: Way, fields: Fields, kind: 'replayed' | 'elsewhere'): Sent | null {
    const others = [...this.#recent].filter(([other]) => other !== source);
    const all =
      kind === 'replayed'
        ? (this.#recent.get(source) ?? [])
        : others.flatMap(([, sent]) => sent.filter(({ isSealed }) => isSealed));
    return all[fields.below(all.length)] ?? null;
  }

  /** A stream in clear that is in the ledger already, or before others in the source's queue. */
  clearStream({ source }: Way): string | null {
    return this.#recent.get(source)?.find(({ isSealed }) => !isSealed)?.stream ?? null;
  }
}
