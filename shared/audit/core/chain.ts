/** Checks of an audit log, and of a copy of it that left the machine. */
import { type ChainedEntry, type Digest, NO_HASH, parsedLine } from './entry.ts';

/** The last entry that a log is known to have. */
export interface Head {
  log: string;
  seq: number;
  hash: string;
}

export interface ChainProblem {
  /** The entry, or the one that was expected; null where the place is not known. */
  seq: number | null;
  problem: string;
}

export interface ChainReport {
  log: string | null;
  /** Null for an empty log. */
  first: number | null;
  last: number | null;
  entries: number;
  /** The first PROBLEMS_MAX; no problem means that the log is whole. */
  problems: ChainProblem[];
  problemCount: number;
  /** Worth knowing, and no sign of a change. */
  notes: string[];
}

/** Action of the entry that says that older entries were deleted for room. */
export const DROPPED = 'audit.dropped';
const PROBLEMS_MAX = 100;

/** Checks entries in their order, one after another; memory does not grow with the log. */
export class ChainCheck {
  readonly #digest: Digest;
  readonly #problems: ChainProblem[] = [];
  readonly #notes: string[] = [];
  /** By the number of the last dropped entry: its hash. */
  readonly #dropped = new Map<number, string>();
  #problemCount = 0;
  #first: ChainedEntry | null = null;
  #last: ChainedEntry | null = null;
  #entries = 0;

  constructor(digest: Digest) {
    this.#digest = digest;
  }

  /** `line` without its newline. Returns the entry, null for a line that holds none. */
  add(line: string): ChainedEntry | null {
    const found = parsedLine(line, this.#digest);
    if ('problem' in found) {
      this.#problem(this.#last ? this.#last.entry.seq + 1 : null, found.problem);
      return null;
    }
    const last = this.#last;
    this.#entries += 1;
    if (last) this.#follow(last, found);
    else this.#first = found;
    this.#noteDropped(found);
    this.#last = found;
    return found;
  }

  /** The end of the log was cut by a power failure while it was written. */
  unfinished(bytes: number): void {
    this.#notes.push(`${bytes} bytes of an entry that a power failure or a kill cut short, at the end`);
  }

  /** `head`: the last entry that must be there; null when none is known. */
  report(head: Head | null): ChainReport {
    const [first, last] = [this.#first, this.#last];
    if (first && first.entry.seq > 1) this.#checkBeginning(first);
    if (first?.entry.seq === 1 && first.entry.prev !== NO_HASH)
      this.#problem(1, 'the first entry follows another one');
    if (head) this.#checkHead(head, last);
    return {
      log: first?.entry.log ?? null,
      first: first?.entry.seq ?? null,
      last: last?.entry.seq ?? null,
      entries: this.#entries,
      problems: this.#problems,
      problemCount: this.#problemCount,
      notes: this.#notes,
    };
  }

  #follow(last: ChainedEntry, { entry }: ChainedEntry): void {
    const expected = last.entry.seq + 1;
    if (entry.log !== last.entry.log) this.#problem(entry.seq, `an entry of another log, ${entry.log}`);
    else if (entry.seq > expected) this.#problem(expected, missing(expected, entry.seq - 1));
    else if (entry.seq < expected) this.#problem(entry.seq, `out of order: after entry ${last.entry.seq}`);
    else if (entry.prev !== last.hash)
      this.#problem(entry.seq, 'does not follow the entry before it: one of them was replaced');
  }

  #noteDropped({ entry: { action, detail } }: ChainedEntry): void {
    if (action !== DROPPED) return;
    const { through, hash } = detail;
    if (typeof through === 'number' && typeof hash === 'string') this.#dropped.set(through, hash);
  }

  #checkBeginning({ entry: { seq, prev } }: ChainedEntry): void {
    if (this.#dropped.get(seq - 1) === prev)
      this.#notes.push(`begins with entry ${seq}: the log dropped the older ones for room, and says so`);
    else this.#problem(1, missing(1, seq - 1));
  }

  #checkHead(head: Head, last: ChainedEntry | null): void {
    if (last === null || last.entry.log !== head.log || last.entry.seq < head.seq) {
      const from = last?.entry.log === head.log ? last.entry.seq + 1 : 1;
      this.#problem(from, `${missing(from, head.seq)}: the end was cut off`);
    } else if (last.entry.seq === head.seq && last.hash !== head.hash) {
      this.#problem(head.seq, 'is not the entry that the log ended with: it was replaced');
    }
  }

  #problem(seq: number | null, problem: string): void {
    this.#problemCount += 1;
    if (this.#problems.length < PROBLEMS_MAX) this.#problems.push({ seq, problem });
  }
}

function missing(first: number, last: number): string {
  return first === last ? `entry ${first} is missing` : `entries ${first} to ${last} are missing`;
}

/** The entries of one log in a copy, by number. */
export interface CopiedLog {
  log: string;
  entries: Map<number, ChainedEntry>;
  report: ChainReport;
}

export interface Copy {
  /** In the order in which their first entries came. */
  logs: CopiedLog[];
  /** Lines that hold no entry of any log. */
  problems: ChainProblem[];
}

/**
 * Checks a copy: entries that came over the clouds, perhaps twice and in another order. A gateway whose data
 * folder was made anew has several logs.
 */
export function checkCopy(lines: Iterable<string>, digest: Digest): Copy {
  const logs = new Map<string, { entries: Map<number, ChainedEntry>; twice: number[] }>();
  const problems: ChainProblem[] = [];
  for (const line of lines) {
    const found = parsedLine(line, digest);
    if ('problem' in found) {
      problems.push({ seq: null, problem: found.problem });
      continue;
    }
    const { log, seq } = found.entry;
    const one = logs.get(log) ?? { entries: new Map<number, ChainedEntry>(), twice: [] };
    logs.set(log, one);
    const known = one.entries.get(seq);
    if (known && known.hash !== found.hash) one.twice.push(seq);
    else one.entries.set(seq, found);
  }
  return {
    logs: [...logs].map(([log, { entries, twice }]) => {
      const check = new ChainCheck(digest);
      for (const [, { line }] of [...entries].toSorted(([a], [b]) => a - b)) check.add(line);
      const report = check.report(null);
      for (const seq of twice) report.problems.push({ seq, problem: 'came with two contents' });
      return { log, entries, report: { ...report, problemCount: report.problemCount + twice.length } };
    }),
    problems,
  };
}

/**
 * The contradictions between the log on the machine and its copy. Entries that have not left yet are missing
 * in the copy, which is no problem.
 */
export function compareWithCopy(
  own: { log: string | null; last: number | null; hashes: ReadonlyMap<number, string> },
  { logs }: Copy,
): ChainProblem[] {
  const copied = logs.find(({ log }) => log === own.log);
  if (!copied) {
    const known = logs.map(({ log }) => log).join(', ');
    const problem = `the copy has ${known === '' ? 'no log' : `the log ${known}`}, not the log ${own.log ?? '(none)'}: this one was begun anew`;
    return [{ seq: null, problem }];
  }
  const found: ChainProblem[] = [];
  for (const [seq, { hash }] of copied.entries) {
    const here = own.hashes.get(seq);
    if (here === hash) continue;
    if (here !== undefined) found.push({ seq, problem: 'is another entry than the one that left' });
    else if (seq > (own.last ?? 0)) found.push({ seq, problem: 'left this machine, and is not here' });
  }
  return found.toSorted((a, b) => (a.seq ?? 0) - (b.seq ?? 0)).slice(0, PROBLEMS_MAX);
}
