/**
 * The log of commits: one subject, where a message is accepted only directly after the last message that its
 * writer knows (compare-and-set). Of several commits planned on the same state only one succeeds, on any
 * replica (I5); the others are planned again on the new state.
 */
import { encode as encodeCbor } from 'cborg';
import { decodeCbor } from '../../../../shared/envelope/cbor.ts';
import type { Connection } from '../connection.ts';
import type { Names } from '../names.ts';
import type { Blobs, Packed } from './blobs.ts';
import { type Commit, decodeCommit, encodeCommit, recordsOf } from './commit-format.ts';

/** The end of the log, as far as this replica has read it. */
export interface Head {
  /** Sequence of the last commit's message, 0 before the first. */
  seq: number;
  number: number;
  /** The last assigned offset. */
  offset: number;
  duplicates: number;
  conflicts: number;
}

const BEGINNING: Head = { seq: 0, number: 0, offset: 0, duplicates: 0, conflicts: 0 };
/** Most concurrent reads of commits, while catching up. */
const AHEAD_MAX = 64;
const CACHED_MAX = 64;

export class CommitLog {
  readonly #connection: Connection;
  readonly #blobs: Blobs;
  readonly #names: Names;
  readonly #note: (commit: Commit, at: number) => void;
  readonly #cache = new Map<number, Commit>();
  #head = BEGINNING;
  #catchingUp: Promise<void> = Promise.resolve();

  /** `note` is called with each commit once, in order. */
  constructor(
    parts: { connection: Connection; blobs: Blobs; names: Names },
    note: (commit: Commit, at: number) => void,
  ) {
    this.#connection = parts.connection;
    this.#blobs = parts.blobs;
    this.#names = parts.names;
    this.#note = note;
  }

  get head(): Head {
    return this.#head;
  }

  /** Opens the log after the commit at `checkpoint`, 0 for its beginning. */
  async open(checkpoint: number): Promise<void> {
    if (checkpoint > 0) {
      const commit = await this.at(checkpoint);
      if (commit?.seq !== checkpoint) throw new Error('the commit log does not reach back to its checkpoint');
      this.#head = headAfter(commit.commit, checkpoint);
    }
    await this.catchUp();
  }

  /** Reads all commits that existed at the call. */
  catchUp(): Promise<void> {
    const next = this.#catchingUp.then(() => this.#readOn());
    this.#catchingUp = next.catch(() => undefined);
    return next;
  }

  /** Commits, if no commit followed `head`; returns whether it did. Rejects when the outcome is unknown. */
  async append(head: Head, commit: Commit): Promise<boolean> {
    const packed = await this.#blobs.pack(this.#names.large, encodeCommit(commit));
    const { commits, commit: subject } = this.#names;
    const seq = await this.#connection.publishAfter(commits, subject, head.seq, encodeCbor(packed));
    if (seq === null) return false;
    this.#take(commit, seq);
    return true;
  }

  /** The first commit at or after `seq`. */
  async at(seq: number): Promise<{ seq: number; commit: Commit } | null> {
    const known = this.#cache.get(seq);
    if (known) return { seq, commit: known };
    const { commits, commit: subject } = this.#names;
    const message = await this.#connection.get(commits, { seq, next_by_subj: subject });
    if (message === null) return null;
    const commit = await this.#decode(message.data);
    this.#cache.set(message.seq, commit);
    for (const oldest of this.#cache.keys()) {
      if (this.#cache.size <= CACHED_MAX) break;
      this.#cache.delete(oldest);
    }
    return { seq: message.seq, commit };
  }

  async #readOn(): Promise<void> {
    for (let ahead = 1; ; ahead = Math.min(2 * ahead, AHEAD_MAX)) {
      const from = this.#head.seq + 1;
      const { commits, commit: subject } = this.#names;
      const [first, ...more] = await Promise.all(
        Array.from({ length: ahead }, (_, i) =>
          // Sequences are dense except for those that the servers skipped at a change of leader.
          this.#connection.get(commits, i === 0 ? { seq: from, next_by_subj: subject } : { seq: from + i }),
        ),
      );
      if (!first) return;
      for (const message of [first, ...more]) {
        if (!message) break;
        this.#take(await this.#decode(message.data), message.seq);
      }
    }
  }

  /** The writer and a reader of the log may both bring a commit; the first one counts. */
  #take(commit: Commit, seq: number): void {
    if (seq <= this.#head.seq) return;
    if (commit.number !== this.#head.number + 1) {
      throw new Error(`the commit log lacks commit ${this.#head.number + 1}`);
    }
    this.#head = headAfter(commit, seq);
    this.#note(commit, seq);
  }

  async #decode(data: Uint8Array): Promise<Commit> {
    const bytes = await this.#blobs.unpack(this.#names.records, decodeCbor(data) as Packed);
    if (bytes === null) throw new Error('a part of a large commit is gone');
    return decodeCommit(bytes);
  }
}

function headAfter(commit: Commit, seq: number): Head {
  const { number, offset, duplicates, conflicts } = commit;
  return { seq, number, offset: offset + recordsOf(commit), duplicates, conflicts };
}
