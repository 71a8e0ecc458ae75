/** Reads the history's files line by line, oldest first, without blocking the event loop. */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { type Line, type LineOf, parseLine } from './lines.ts';

/** A line, and the boot of its monotonic time. */
export interface Entry {
  boot: string;
  line: Exclude<Line, LineOf<'clock'>>;
}

/**
 * The wall time by boot. Synchronised readings take precedence over unsynchronised ones, and later readings
 * over earlier ones (I7).
 */
export class BootClocks {
  readonly #best = new Map<string, LineOf<'clock'>>();

  learn(clock: LineOf<'clock'>): void {
    const known = this.#best.get(clock.boot);
    if (known?.q === 'synchronised' && clock.q === 'unsynchronised') return;
    this.#best.set(clock.boot, clock);
  }

  /** Wall time of a monotonic instant of the boot. */
  wallOf(boot: string, monoMs: number): { wallMs: number; clock: LineOf<'clock'>['q'] } {
    const { off = 0, q = 'unsynchronised' } = this.#best.get(boot) ?? {};
    return { wallMs: Math.round(monoMs + off), clock: q };
  }
}

/**
 * The entries of the files. Their clock lines are added to `clocks`, which is complete only when all entries
 * were read. `wanted` filters by the raw text, so that a search need not parse every line. A file that is
 * deleted meanwhile counts as empty.
 */
export async function* readEntries(
  files: readonly string[],
  clocks: BootClocks,
  wanted: (text: string) => boolean = () => true,
): AsyncGenerator<Entry> {
  let boot = '';
  for (const file of files) {
    for await (const text of linesOf(file)) {
      const isClock = text.startsWith('{"k":"clock"');
      if (!isClock && !wanted(text)) continue;
      const line = parseLine(text);
      if (line?.k === 'clock') {
        ({ boot } = line);
        clocks.learn(line);
      } else if (line) yield { boot, line };
    }
  }
}

async function* linesOf(file: string): AsyncGenerator<string> {
  const input = createReadStream(file, 'utf8');
  try {
    yield* createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  } finally {
    input.destroy();
  }
}
