/**
 * The repetitions: one message per commit and stream with any, written after the commit. The server drops the
 * oldest beyond the bound (I10). A kill between the two loses only this message: the counts are in the
 * commit.
 */
import { encode as encodeCbor } from 'cborg';
import { decodeCbor } from '../../../shared/envelope/cbor.ts';
import type { SendReason } from '../../../shared/envelope/send-reason.ts';
import type { CommitResult, LedgerEntry } from '../types.ts';
import { type RecordId, type Repetition, repetitionsOf, SIGHTINGS_TOLD_MAX } from '../whereabouts.ts';
import type { Connection } from './connection.ts';
import type { EvidenceStream } from './evidence.ts';
import type { Names } from './names.ts';

type Row = [
  first: number,
  last: number,
  source: string,
  receivedWallMs: number,
  redelivered: boolean,
  /** Absent in data of earlier versions. */
  sentAs?: SendReason | null,
];

/** Most repetitions of one message; the rest of a commit is not worth several parts. */
const ROWS_MAX = 10_000;

export class RepeatStore {
  readonly #connection: Connection;
  readonly #names: Names;
  readonly #stream: EvidenceStream;

  constructor(connection: Connection, names: Names, stream: EvidenceStream) {
    this.#connection = connection;
    this.#names = names;
    this.#stream = stream;
  }

  async add(repeated: readonly { entry: LedgerEntry; result: CommitResult }[]): Promise<void> {
    const rows = new Map<string, Row[]>();
    for (const { entry, result } of repeated) {
      if (result.duplicate === 0) continue;
      const subject = this.#names.repeat(entry.envelope);
      rows.set(subject, [...(rows.get(subject) ?? []), ...repetitionsOf(entry, result).map(rowOf)]);
    }
    if (rows.size === 0) return;
    await this.#stream.make();
    await Promise.all(
      Array.from(rows, ([subject, some]) =>
        this.#connection.publish(subject, encodeCbor(some.slice(-ROWS_MAX))),
      ),
    );
  }

  /** The repetitions of one record, the newest first, at most {@link SIGHTINGS_TOLD_MAX}. */
  async of(id: RecordId): Promise<Repetition[]> {
    const found: Repetition[] = [];
    if (!(await this.#stream.isThere())) return found;
    const subject = this.#names.repeat(id);
    for await (const message of this.#connection.list(this.#stream.name, subject)) {
      const rows = (decodeCbor(message.data) as Row[]).map(repetitionFrom);
      found.push(...rows.filter(({ first, last }) => first <= id.seq && last >= id.seq));
      // The newest come last.
      if (found.length > 2 * SIGHTINGS_TOLD_MAX) found.splice(0, found.length - SIGHTINGS_TOLD_MAX);
    }
    return found.slice(-SIGHTINGS_TOLD_MAX).reverse();
  }
}

function rowOf({ first, last, source, receivedWallMs, redelivered, sentAs }: Repetition): Row {
  return [first, last, source, receivedWallMs, redelivered, sentAs];
}

function repetitionFrom([first, last, source, receivedWallMs, redelivered, sentAs = null]: Row): Repetition {
  return { first, last, source, receivedWallMs, redelivered, sentAs };
}
