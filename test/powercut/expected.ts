/**
 * The answers to the workload, line by line of its marks, and so the records that must be there after a cut.
 *
 * A record leaves the set as soon as its last needed acceptance is asked for, because it may be freed from
 * then on; it may also still be there, since freeing is not promised.
 */
export type Mark =
  /** A store started and said this is its epoch. */
  | { say: 'epoch'; epoch: string }
  /** The append of record `number` resolved (I1). */
  | { say: 'acknowledged'; epoch: string; stream: string; seq: number; number: number }
  /** About to be told to the store, which has not answered. */
  | {
      say: 'accepting';
      epoch: string;
      stream: string;
      provider: string;
      first: number;
      last: number;
      copies: number;
    }
  /**
   * The file was damaged before this life: all that was in it is excused, and so is setting it aside (I9).
   */
  | { say: 'damaged' }
  /** All before this is not to be cut: it is the state that the life was given. */
  | { say: 'begin' };

interface Owed {
  number: number;
  acceptedBy: Set<string>;
}

export class Expected {
  /** Of the file that is there now. */
  readonly epochs = new Set<string>();
  /**
   * Every id that was ever acknowledged, with its record: also when it was freed, it is never given again
   * (I2).
   */
  readonly numbers = new Map<string, number>();
  /** By `epoch/stream`, by seq. */
  readonly owed = new Map<string, Map<number, Owed>>();

  /** The file that is there is a damaged one, which the next start has to set aside. */
  damaged = false;

  apply(line: string): void {
    const mark: Mark = JSON.parse(line);
    if (mark.say === 'epoch') this.#begin(mark.epoch);
    else if (mark.say === 'acknowledged') this.#owe(mark);
    else if (mark.say === 'accepting') this.#accept(mark);
    else if (mark.say === 'damaged') this.#excuse();
  }

  #begin(epoch: string): void {
    this.epochs.add(epoch);
    this.damaged = false;
  }

  #excuse(): void {
    this.damaged = true;
    this.owed.clear();
    this.epochs.clear();
  }

  #owe({ epoch, stream, seq, number }: Extract<Mark, { say: 'acknowledged' }>): void {
    const key = `${epoch}/${stream}`;
    const id = `${key}/${seq}`;
    if (this.numbers.has(id)) throw new Error(`the running store gave ${id} twice`);
    this.numbers.set(id, number);
    const records = this.owed.get(key) ?? new Map<number, Owed>();
    this.owed.set(key, records.set(seq, { number, acceptedBy: new Set() }));
  }

  #accept({ epoch, stream, provider, first, last, copies }: Extract<Mark, { say: 'accepting' }>): void {
    const records = this.owed.get(`${epoch}/${stream}`);
    for (let seq = first; records && seq <= last; seq++) {
      const record = records.get(seq);
      record?.acceptedBy.add(provider);
      if (record && record.acceptedBy.size >= copies) records.delete(seq);
    }
  }
}
