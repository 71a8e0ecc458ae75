/**
 * The entries of one commit on their way to the ledger's thread. A group of thousands of records, cloned at
 * once, would hold the router's event loop for a tenth of a second. It travels in pieces of bounded size, the
 * loop turns between two of them, and the thread commits when the last one has come: still one transaction
 * (I5). Records are columns, whose buffers are transferred: a clone of each payload would also copy the rest
 * of the message's buffer.
 */
import { GAP_REASONS, type Gap, type TelemetryRecord } from '../../../shared/record.ts';
import type { LedgerEntry } from '../types.ts';

/** Numbers of one record: seq, monotonic ms, indexes of device and topic, payload length. */
const NUMBERS_PER_RECORD = 5;
/** Numbers of one gap: first, last, index of its reason. */
const NUMBERS_PER_GAP = 3;

/** An entry without its records and gaps, which follow in this piece and the next ones. */
interface EntryHead extends Omit<LedgerEntry, 'envelope'> {
  envelope: Omit<LedgerEntry['envelope'], 'records' | 'gaps'>;
  records: number;
  gaps: number;
}

export interface EntriesPiece {
  /** The commit has no further piece. */
  isLast: boolean;
  heads: EntryHead[];
  /** Devices and topics, each once. */
  words: string[];
  records: Float64Array<ArrayBuffer>;
  /** All payloads, concatenated. */
  payloads: Uint8Array<ArrayBuffer>;
  gaps: Float64Array<ArrayBuffer>;
}

export interface PieceLimits {
  /** Most heads, records and gaps together. */
  itemsMax: number;
  /** Payload bytes after which a piece takes no further record. */
  payloadBytesMax: number;
}

/** A piece takes a few milliseconds to encode. */
const LIMITS: PieceLimits = { itemsMax: 2000, payloadBytesMax: 1024 * 1024 };

/** At least one piece; each is encoded when it is asked for. The entries must not change meanwhile. */
export function* piecesOf(
  entries: Iterable<LedgerEntry>,
  limits: PieceLimits = LIMITS,
): Generator<EntriesPiece> {
  let draft = new Draft(limits);
  for (const item of itemsOf(entries)) {
    if (draft.isFull) {
      yield draft.piece(false);
      draft = new Draft(limits);
    }
    draft.add(item);
  }
  yield draft.piece(true);
}

type Item = EntryHead | TelemetryRecord | Gap;

function* itemsOf(entries: Iterable<LedgerEntry>): Generator<Item> {
  for (const { envelope, ...rest } of entries) {
    const { records, gaps, ...head } = envelope;
    yield { ...rest, envelope: head, records: records.length, gaps: gaps.length };
    yield* records;
    yield* gaps;
  }
}

/** The buffers of a piece, for the transfer list of `postMessage`. */
export function buffersOf({ records, payloads, gaps }: EntriesPiece): ArrayBuffer[] {
  return [records.buffer, payloads.buffer, gaps.buffer];
}

/** A piece in the making. */
class Draft {
  readonly #limits: PieceLimits;
  readonly #heads: EntryHead[] = [];
  readonly #words = new Map<string, number>();
  readonly #records: number[] = [];
  readonly #payloads: Uint8Array[] = [];
  readonly #gaps: number[] = [];
  #payloadBytes = 0;

  constructor(limits: PieceLimits) {
    this.#limits = limits;
  }

  get isFull(): boolean {
    const { itemsMax, payloadBytesMax } = this.#limits;
    const gaps = this.#gaps.length / NUMBERS_PER_GAP;
    return (
      this.#heads.length + this.#payloads.length + gaps >= itemsMax || this.#payloadBytes >= payloadBytesMax
    );
  }

  add(item: Item): void {
    if ('envelope' in item) {
      this.#heads.push(item);
    } else if ('payload' in item) {
      const { seq, monoMs, device, topic, payload } = item;
      this.#records.push(seq, monoMs, this.#wordOf(device), this.#wordOf(topic), payload.byteLength);
      this.#payloads.push(payload);
      this.#payloadBytes += payload.byteLength;
    } else {
      this.#gaps.push(item.first, item.last, GAP_REASONS.indexOf(item.reason));
    }
  }

  piece(isLast: boolean): EntriesPiece {
    const payloads = new Uint8Array(this.#payloadBytes);
    let at = 0;
    for (const payload of this.#payloads) {
      payloads.set(payload, at);
      at += payload.byteLength;
    }
    return {
      isLast,
      heads: this.#heads,
      words: [...this.#words.keys()],
      records: new Float64Array(this.#records),
      payloads,
      gaps: new Float64Array(this.#gaps),
    };
  }

  #wordOf(text: string): number {
    const known = this.#words.get(text);
    if (known !== undefined) return known;
    this.#words.set(text, this.#words.size);
    return this.#words.size - 1;
  }
}

/** Joins the pieces of one commit, in the order in which they were made. */
export class JoinedEntries {
  readonly #heads: EntryHead[] = [];
  readonly #records: TelemetryRecord[] = [];
  readonly #gaps: Gap[] = [];

  add({ heads, words, records, payloads, gaps }: EntriesPiece): void {
    for (const head of heads) this.#heads.push(head);
    let at = 0;
    for (let i = 0; i < records.length; i += NUMBERS_PER_RECORD) {
      const end = at + numberAt(records, i + 4);
      this.#records.push({
        seq: numberAt(records, i),
        monoMs: numberAt(records, i + 1),
        device: wordAt(words, numberAt(records, i + 2)),
        topic: wordAt(words, numberAt(records, i + 3)),
        payload: payloads.subarray(at, end),
      });
      at = end;
    }
    for (let i = 0; i < gaps.length; i += NUMBERS_PER_GAP) {
      this.#gaps.push({
        first: numberAt(gaps, i),
        last: numberAt(gaps, i + 1),
        reason: wordAt(GAP_REASONS, numberAt(gaps, i + 2)),
      });
    }
  }

  /** Call it after the last piece. */
  entries(): LedgerEntry[] {
    let record = 0;
    let gap = 0;
    return this.#heads.map(({ envelope, records, gaps, ...rest }) => {
      const entry = {
        ...rest,
        envelope: {
          ...envelope,
          records: this.#records.slice(record, record + records),
          gaps: this.#gaps.slice(gap, gap + gaps),
        },
      };
      record += records;
      gap += gaps;
      return entry;
    });
  }
}

function numberAt(numbers: Float64Array, index: number): number {
  return numbers[index] ?? Number.NaN;
}

function wordAt<Word extends string>(words: readonly Word[], index: number): Word {
  const word = words[index];
  if (word === undefined) throw new Error(`no word ${index} of ${words.length}`);
  return word;
}
