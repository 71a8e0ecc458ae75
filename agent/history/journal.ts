/**
 * The history's files: JSON lines, appended to one file for each UTC day, and to a new one when a file is
 * large.
 *
 * JSON lines, because the lines after a damaged one are still readable and operators have jq. The lines of a
 * minute are written together, so a denser format would not save a single page of an SD card. The files are
 * not synced: a kill loses nothing that was written; a power cut loses the pages that the kernel had not
 * written yet. A line that a crash has cut short stays; the next one begins on a new line, and readers skip
 * the damaged one.
 */
import { appendFile, mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Bounds, expired, parseSegmentName, type Segment, segmentName } from './segments.ts';

/** A file is full at this fraction of the history's bound; the oldest file is deleted as a whole. */
const SEGMENTS_KEPT = 8;
const NEWLINE = 0x0a;

/** The present wall-clock time; null while the clock is not trusted. */
export interface Today {
  wallMs: number | null;
  /** UTC, `2026-11-21`. */
  day: string | null;
}

export class Journal {
  readonly #folder: string;
  readonly #bounds: Bounds;
  /** Ascending; null before the folder was read, and after a failed write. */
  #segments: Segment[] | null = null;
  /** Whether the last line may be incomplete. */
  #isTorn: boolean = false;

  constructor(folder: string, bounds: Bounds) {
    this.#folder = folder;
    this.#bounds = bounds;
  }

  /**
   * Appends the lines, each without its newline, to the present file, or to a new one that begins with
   * `head()`. Rejects when the disk refuses the write, after which some lines may be in the file. One call at
   * a time.
   */
  async append(lines: readonly string[], head: () => readonly string[], today: Today): Promise<void> {
    const segments = this.#segments ?? (await this.#open());
    this.#segments = null;
    const present = segments.at(-1);
    const fits = present !== undefined && !this.#isFull(present) && present.day === today.day;
    const text = `${[...(fits ? [] : head()), ...lines].join('\n')}\n`;
    const lead = fits && this.#isTorn ? '\n' : '';
    const bytes = Buffer.byteLength(text) + lead.length;
    const target = fits ? present : { number: (present?.number ?? 0) + 1, day: today.day, bytes: 0 };
    const others = fits ? segments.slice(0, -1) : segments;
    const leaving = expired(others, this.#bounds, target.bytes + bytes, today.wallMs);
    for (const segment of leaving) await rm(this.#pathOf(segment), { force: true });
    await appendFile(this.#pathOf(target), lead + text, { mode: 0o640 });
    target.bytes += bytes;
    this.#isTorn = false;
    this.#segments = [...others.slice(leaving.length), target];
  }

  files(): Promise<string[]> {
    return filesIn(this.#folder);
  }

  async #open(): Promise<Segment[]> {
    await mkdir(this.#folder, { recursive: true, mode: 0o750 });
    const segments = await segmentsIn(this.#folder);
    const last = segments.at(-1);
    this.#isTorn = last !== undefined && !(await endsWithNewline(this.#pathOf(last)));
    return segments;
  }

  #isFull({ bytes }: Segment): boolean {
    return bytes >= this.#bounds.maxBytes / SEGMENTS_KEPT;
  }

  #pathOf(segment: Segment): string {
    return join(this.#folder, segmentName(segment));
  }
}

/** Paths of all files of a history, oldest first; empty without a folder. */
export async function filesIn(folder: string): Promise<string[]> {
  return (await segmentsIn(folder)).map((segment) => join(folder, segmentName(segment)));
}

/** Ascending; empty without a folder, and where something else has its name. */
async function segmentsIn(folder: string): Promise<Segment[]> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return [];
    throw error;
  });
  const found: Segment[] = [];
  for (const name of names) {
    const parsed = parseSegmentName(name);
    if (parsed) found.push({ ...parsed, bytes: (await stat(join(folder, name))).size });
  }
  return found.sort((a, b) => a.number - b.number);
}

async function endsWithNewline(file: string): Promise<boolean> {
  const handle = await open(file, 'r');
  try {
    const { size } = await handle.stat();
    if (size === 0) return true;
    const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, size - 1);
    return buffer[0] === NEWLINE;
  } finally {
    await handle.close();
  }
}
