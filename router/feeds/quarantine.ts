/**
 * Records that a destination refused again and again: passed over, listed in the ledger's database, and sent
 * again when an operator asks for it. The list names offsets; the records stay in the ledger.
 */
import type { CheckpointStore } from '../ledger/checkpoints.ts';
import type { LedgerRecord } from '../ledger/types.ts';

export interface QuarantinedRecord {
  offset: number;
  /** `gateway/epoch/stream/seq`. */
  id: string;
  /** The last refusal. */
  error: string;
  tries: number;
  wallMs: number;
  /** An operator wants it sent again. */
  isDue: boolean;
}

/** Most records of a feed in quarantine (I10); beyond, the feed is held up as without one. */
export const QUARANTINED_MAX = 500;
const ERROR_CHARACTERS_MAX = 200;
const KEY = 'quarantine';

export class Quarantine {
  readonly #store: Pick<CheckpointStore, 'loadCheckpoint' | 'replaceCheckpoint'>;
  readonly #source: string;
  #known: readonly QuarantinedRecord[] = [];

  constructor(store: Pick<CheckpointStore, 'loadCheckpoint' | 'replaceCheckpoint'>, feed: string) {
    this.#store = store;
    this.#source = `feed:${feed}`;
  }

  /** As of the last call that read it, oldest first. */
  get records(): readonly QuarantinedRecord[] {
    return this.#known;
  }

  async load(): Promise<readonly QuarantinedRecord[]> {
    return (await this.#load()).list;
  }

  /** False when the list is full. */
  async add(
    record: LedgerRecord,
    { error, tries, wallMs }: { error: string; tries: number; wallMs: number },
  ) {
    const entry = {
      offset: record.offset,
      id: idOf(record),
      error: error.slice(0, ERROR_CHARACTERS_MAX),
      tries,
      wallMs,
      isDue: false,
    };
    const list = await this.#change((before) => {
      const others = before.filter(({ offset }) => offset !== entry.offset);
      return others.length < QUARANTINED_MAX ? [...others, entry] : before;
    });
    return list.includes(entry);
  }

  /** Replaces the entry at an offset; removes it for null. Returns whether there was one. */
  async replace(
    offset: number,
    by: (entry: QuarantinedRecord) => QuarantinedRecord | null,
  ): Promise<boolean> {
    let isFound: boolean = false;
    await this.#change((before) => {
      isFound = before.some((entry) => entry.offset === offset);
      return before.flatMap((entry) => (entry.offset === offset ? (by(entry) ?? []) : [entry]));
    });
    return isFound;
  }

  async #change(
    change: (before: readonly QuarantinedRecord[]) => readonly QuarantinedRecord[],
  ): Promise<readonly QuarantinedRecord[]> {
    for (;;) {
      const { text, list } = await this.#load();
      const next = change(list);
      if (!(await this.#store.replaceCheckpoint(this.#source, KEY, text, JSON.stringify(next)))) continue;
      this.#known = next;
      return next;
    }
  }

  async #load(): Promise<{ text: string | null; list: readonly QuarantinedRecord[] }> {
    const text = await this.#store.loadCheckpoint(this.#source, KEY);
    this.#known = text === null ? [] : JSON.parse(text);
    return { text, list: this.#known };
  }
}

export function idOf({ gateway, epoch, stream, seq }: LedgerRecord): string {
  return [gateway, epoch, stream, seq].join('/');
}
