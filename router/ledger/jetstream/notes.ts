/**
 * The notes in the permanent messages of a ledger's streams. A note vouches for streams that had come so far
 * when it was written, so none is ever behind it, whatever crashes. There is one in `cursors` and one in
 * `records`, which also vouches for `cursors`: each is the witness where the other is lost.
 */

/** In the order of the numbers in a note; append only. `state` is in none: it is rebuilt from the log. */
const NOTED = ['commits', 'records', 'conflicts', 'deadLetters', 'repeats', 'cursors'] as const;

export type NotedStream = (typeof NOTED)[number];

export interface Note {
  id: string;
  /** Last sequences; 0 for a stream that the note does not vouch for. */
  ends: readonly (readonly [NotedStream, number])[];
}

/** As text: the ledger's id, then the numbers. */
export function encodeNote(id: string, ends: Partial<Record<NotedStream, number>>): Uint8Array {
  return Buffer.from([id, ...NOTED.map((part) => ends[part] ?? 0)].join(' '));
}

/** Notes of earlier versions have fewer numbers. */
export function decodeNote(data: Uint8Array): Note {
  const [id = '', ...numbers] = Buffer.from(data).toString().split(' ');
  return { id, ends: NOTED.map((part, i) => [part, Number(numbers[i] ?? 0)]) };
}
