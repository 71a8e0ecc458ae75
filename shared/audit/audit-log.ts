/**
 * The audit log of an agent or a router: who changed what. Append-only, hash-chained, in `<data_dir>/audit`;
 * the process and the commands beside it write it in turn. docs/how-to/audit.md is its page.
 */
import { createHash } from 'node:crypto';
import { type Clock, isoTime } from '../clock.ts';
import type { Entropy } from '../entropy.ts';
import { errorText } from '../error-text.ts';
import { ChainCheck, type ChainReport, DROPPED, type Head } from './core/chain.ts';
import {
  bounded,
  type ChainedEntry,
  chained,
  type Draft,
  type Facts,
  factsOf,
  NO_HASH,
  type Phase,
  parsedLine,
} from './core/entry.ts';
import {
  appendLine,
  auditFolder,
  cutEnd,
  listSegments,
  lockFile,
  makeAuditFolder,
  readHead,
  readTail,
  removeSegment,
  type Segment,
  segmentLines,
  segmentPath,
  writeHead,
} from './files.ts';
import { locked } from './lock.ts';

export { type ChainProblem, type ChainReport, type Copy, checkCopy, compareWithCopy } from './core/chain.ts';
export type { ChainedEntry, Entry, Facts } from './core/entry.ts';

export { auditFolder } from './files.ts';

/** The reserved stream by which an agent's entries come to the router. No policy can name it. */
export const AUDIT_STREAM = '_audit';
/** The topic of its records. Devices cannot publish to it: topics that begin with `$` are the broker's. */
export const AUDIT_TOPIC = '$headgate/audit';

export const digest = (text: string): string => createHash('sha256').update(text).digest('hex');

/** A change that someone makes. */
export interface Change {
  who: Facts;
  action: string;
  target: string | null;
  detail?: Readonly<Record<string, string | number | boolean | null | undefined>>;
}

/** The end of a change, and facts that only it gave. */
export interface ChangeEnd {
  phase: Extract<Phase, 'done' | 'refused' | 'failed'>;
  detail?: Change['detail'] | undefined;
}

interface AuditBounds {
  /** Of one file. */
  segmentBytes: number;
  /** Of all; the oldest are deleted first. */
  totalBytes: number;
}

/** 30,000 entries and more. */
const BOUNDS: AuditBounds = { segmentBytes: 2 ** 20, totalBytes: 16 * 2 ** 20 };

interface AuditLogOptions {
  dataDir: string;
  program: 'agent' | 'router';
  clock: Clock;
  entropy: Entropy;
  bounds?: AuditBounds;
}

/** Where the next entry goes. */
interface Place {
  head: Head;
  path: string;
  /** Of the file at `path`. */
  bytes: number;
}

/** The change must not be made: it cannot be noted. The text says why. */
export class AuditRefused extends Error {
  override readonly name = 'AuditRefused';
}

export class AuditLog {
  readonly #options: AuditLogOptions;
  readonly #folder: string;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: AuditLogOptions) {
    this.#options = options;
    this.#folder = auditFolder(options.dataDir);
  }

  /** Before a change takes effect. Rejects with AuditRefused: then it must not. */
  async begin(change: Change): Promise<number> {
    return (await this.#write({ ...change, phase: 'begun', of: null, detail: factsOf(change.detail ?? {}) }))
      .entry.seq;
  }

  /** After it. Rejects with AuditRefused; the change stands, and is listed as unfinished. */
  async end(begun: number, { who, action, target }: Change, { phase, detail }: ChangeEnd): Promise<void> {
    await this.#write({ who, action, target, phase, of: begun, detail: factsOf(detail ?? {}) });
  }

  /** A change in one step. Rejects with AuditRefused. */
  async note(change: Change): Promise<void> {
    await this.#write({ ...change, phase: 'noted', of: null, detail: factsOf(change.detail ?? {}) });
  }

  /** Checks the log; `visit` gets every entry. */
  async check(visit: (entry: ChainedEntry) => void): Promise<ChainReport> {
    // An entry that is written meanwhile is either unfinished or behind this head.
    const head = await readHead(this.#folder);
    const check = new ChainCheck(digest);
    const segments = await listSegments(this.#folder);
    let last = 0;
    for (const [at, { path }] of segments.entries()) {
      for await (const { line, isWhole } of segmentLines(path)) {
        if (!isWhole && at === segments.length - 1 && last >= (head?.seq ?? 0)) {
          check.unfinished(Buffer.byteLength(line));
          continue;
        }
        const found = check.add(line);
        if (!found) continue;
        last = found.entry.seq;
        visit(found);
      }
    }
    return check.report(head);
  }

  /** Changes when the log does: for a reader that waits for new entries. */
  async stamp(): Promise<string> {
    const segments = await listSegments(this.#folder);
    return segments.map(({ first, bytes }) => `${first}:${bytes}`).join(' ');
  }

  /** One entry after another, also within this process. */
  #write(draft: Draft): Promise<ChainedEntry> {
    const writing = this.#last.then(() => this.#locked(draft));
    this.#last = writing.catch(() => undefined); // Its caller gets the error.
    return writing;
  }

  async #locked(draft: Draft): Promise<ChainedEntry> {
    try {
      await makeAuditFolder(this.#folder);
      const release = await locked(lockFile(this.#folder), this.#options.clock);
      try {
        return await this.#append(draft);
      } finally {
        await release();
      }
    } catch (error) {
      throw new AuditRefused(`the audit log cannot be written: ${errorText(error)}`);
    }
  }

  async #append(draft: Draft): Promise<ChainedEntry> {
    const { segmentBytes, totalBytes } = this.#options.bounds ?? BOUNDS;
    const segments = await listSegments(this.#folder);
    let place = await this.#place(segments);
    const total = segments.reduce((sum, { bytes }) => sum + bytes, 0);
    const [oldest, next] = segments;
    if (oldest && next && total > totalBytes) place = await this.#drop(place, oldest, next);
    if (place.bytes >= segmentBytes)
      place = { ...place, path: segmentPath(this.#folder, place.head.seq + 1), bytes: 0 };
    return (await this.#entry(place, draft)).written;
  }

  /** Says first what it deletes then. */
  async #drop(place: Place, oldest: Segment, next: Segment): Promise<Place> {
    const { line } = await readTail(oldest);
    const found = line === null ? null : parsedLine(line, digest);
    const hash = found && 'hash' in found ? found.hash : NO_HASH;
    const detail = { through: next.first - 1, hash };
    const told = { who: { via: 'log' }, action: DROPPED, target: null, of: null, detail };
    const { after } = await this.#entry(place, { ...told, phase: 'noted' });
    await removeSegment(this.#folder, oldest);
    return after;
  }

  async #entry({ head, path, bytes }: Place, draft: Draft): Promise<{ written: ChainedEntry; after: Place }> {
    const { program, clock } = this.#options;
    const at = isoTime(clock.wallMs());
    const { log, seq, hash: prev } = head;
    const target = draft.target === null ? null : bounded(draft.target);
    const written = chained({ ...draft, target, log, seq: seq + 1, at, program, prev }, digest);
    await appendLine(this.#folder, path, written.line);
    const after = { log, seq: seq + 1, hash: written.hash };
    const length = Buffer.byteLength(written.line) + 1;
    try {
      await writeHead(this.#folder, after);
    } catch (error) {
      await cutEnd({ path }, length).catch(() => undefined); // The first error is the useful one.
      throw error;
    }
    const size = bytes + length;
    return { written, after: { head: after, path, bytes: size } };
  }

  /**
   * The end of the log, healed: what is after the last complete entry, and is not the head's, was cut short.
   * A log that was tampered with, or damaged, goes on in a new file, and the check says so.
   */
  async #place(segments: readonly Segment[]): Promise<Place> {
    const head = await readHead(this.#folder);
    const segment = segments.at(-1);
    if (!segment) return this.#anew(head);
    const tail = await readTail(segment);
    const found = tail.line === null ? null : parsedLine(tail.line, digest);
    const isEntry = found !== null && 'hash' in found;
    if (isEntry && (head === null || (found.entry.log === head.log && found.entry.seq >= head.seq))) {
      if (tail.unfinished > 0) await cutEnd(segment, tail.unfinished);
      const { log, seq } = found.entry;
      return {
        head: { log, seq, hash: found.hash },
        path: segment.path,
        bytes: segment.bytes - tail.unfinished,
      };
    }
    // A first entry of the file that was cut short: the file is empty again.
    if (tail.line === null && segment.first === (head?.seq ?? 0) + 1) {
      await cutEnd(segment, tail.unfinished);
      return { ...this.#anew(head), path: segment.path };
    }
    return this.#anew(head);
  }

  #anew(head: Head | null): Place {
    const log = Buffer.from(this.#options.entropy.bytes(8)).toString('hex');
    const known = head ?? { log, seq: 0, hash: NO_HASH };
    return { head: known, path: segmentPath(this.#folder, known.seq + 1), bytes: 0 };
  }
}
