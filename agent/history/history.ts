/**
 * The history of this gateway, for later questions of an operator: where records went, and routing's events.
 * It is gathered in memory, written once a minute (an SD card endures that for years), and bounded in bytes
 * and days (I10).
 *
 * A disk that refuses the lines affects nothing else (I9). The oldest lines are then lost, as are those of
 * the last minute before a kill: an answer from the history says where it is incomplete.
 */
import type { Clock, Timer } from '../../shared/clock.ts';
import { isoTime } from '../../shared/clock.ts';
import type { EnvelopeClock } from '../../shared/envelope/envelope.ts';
import { errorText, type Logger } from '../../shared/log.ts';
import type { Service } from '../../shared/service.ts';
import type { Acceptance } from '../forward/acceptance.ts';
import type { Effect, ProviderInputs, ProviderStatus, RoutingEvent } from '../routing/core/core.ts';
import type { CommittedRange } from '../store/types.ts';
import { Decisions, type Setup, stateLine } from './decisions.ts';
import { Deliveries, type GivenUp } from './deliveries.ts';
import { Journal, type Today } from './journal.ts';
import { type LineOf, parseLine } from './lines.ts';
import { BootClocks, type Entry, readEntries } from './read.ts';
import type { Bounds } from './segments.ts';
import { Load } from './stream-load.ts';

/** Bytes of lines that may wait for a failed disk, as a fraction of the history's bound. */
const WAITING_PART = 8;
/** The mapping to wall time is written again when it has moved by this much. */
const CLOCK_MOVED_MS = 500;

interface HistoryOptions {
  folder: string;
  bounds: Bounds;
  writeEveryMs: number;
  setup: Setup;
  /** Routing's present state, the chosen providers, and the inputs of the scores. */
  routingNow: () => {
    providers: readonly ProviderStatus[];
    chosen: Record<string, string | null>;
    inputs: readonly ProviderInputs[];
  };
  currentClock: () => EnvelopeClock;
  /** Whether the disk has room for data other than records. */
  mayWrite: () => boolean;
  clock: Clock;
  log: Logger;
}

export class History implements Service {
  readonly #options: HistoryOptions;
  readonly #journal: Journal;
  readonly #deliveries = new Deliveries();
  readonly #load = new Load();
  readonly #decisions: Decisions;
  readonly #lastSeqs = new Map<string, number>();
  /** Lines that are not on disk yet. */
  #waiting: string[] = [];
  #written: LineOf<'clock'> | null = null;
  #writing: Promise<void> | null = null;
  #isFailing: boolean = false;
  #timer: Timer | null = null;

  constructor(options: HistoryOptions) {
    this.#options = options;
    this.#journal = new Journal(options.folder, options.bounds);
    this.#decisions = new Decisions(options.setup, () => options.routingNow().inputs, options.clock.monoMs());
  }

  start(): Promise<void> {
    const { clock, writeEveryMs } = this.#options;
    this.#waiting.push(JSON.stringify(this.#stateLine(true)));
    // Not awaited: callers need not wait for the file to be read.
    this.#writing = this.#noteSetup(this.#decisions.setupLine()).finally(() => {
      this.#writing = null;
    });
    this.#timer = clock.every(writeEveryMs, () => this.#writeSoon());
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    if (!this.#timer) return;
    this.#timer.cancel();
    this.#timer = null;
    await this.#writing;
    await this.#write();
  }

  /** Records became durable. */
  committed(ranges: readonly CommittedRange[]): void {
    const nowMs = this.#options.clock.monoMs();
    for (const range of ranges) {
      this.#lastSeqs.set(range.stream, range.last);
      this.#load.committed(range, nowMs);
    }
  }

  /** The highest seq of the present epoch; 0 before the first. */
  lastSeq(stream: string): number {
    return this.#lastSeqs.get(stream) ?? 0;
  }

  /** The store began a new epoch. */
  epochBegan(): void {
    this.#lastSeqs.clear();
  }

  /** A provider accepted an envelope. */
  accepted(acceptance: Acceptance): void {
    const nowMs = this.#options.clock.monoMs();
    this.#deliveries.accepted(acceptance, nowMs);
    this.#load.accepted(acceptance, nowMs);
  }

  /** The routing core took a step. */
  observed(event: RoutingEvent, effects: readonly Effect[]): void {
    this.#decisions.observed(event, effects, this.#options.clock.monoMs());
  }

  gaveUp(gaps: readonly GivenUp[]): void {
    for (const gap of gaps) this.#deliveries.gaveUp(gap, this.#options.clock.monoMs());
  }

  /**
   * All entries, oldest first; see {@link readEntries}. Lines written meanwhile may occur twice. Rejects when
   * the files cannot be read.
   */
  async *entries(clocks: BootClocks, wanted?: (text: string) => boolean): AsyncGenerator<Entry> {
    await this.#writing;
    // Copied before the files are read: a line written in between would otherwise be missed.
    const waiting = this.#waiting.flatMap((text) => parseLine(text) ?? []);
    const gathered = [...this.#deliveries.lines(), ...this.#load.lines(), ...this.#decisions.lines()];
    yield* readEntries(await this.#journal.files(), clocks, wanted);
    const present = this.#clockLine();
    clocks.learn(present);
    for (const line of [...waiting, ...gathered.sort(byTime)]) {
      if (line.k !== 'clock') yield { boot: present.boot, line };
    }
  }

  /** The clocks of all boots. Rejects when the files cannot be read. */
  async clocks(): Promise<BootClocks> {
    const clocks = new BootClocks();
    const entries = this.entries(clocks, () => false);
    while (!(await entries.next()).done);
    return clocks;
  }

  #writeSoon(): void {
    if (this.#writing !== null) return;
    this.#writing = this.#write().finally(() => {
      this.#writing = null;
    });
  }

  /** Never rejects. */
  async #write(): Promise<void> {
    const { mayWrite, log } = this.#options;
    this.#gather();
    const lines = [...this.#waiting];
    if (lines.length === 0 || !mayWrite()) return;
    const present = this.#clockLine();
    const news = this.#isNews(present) ? [JSON.stringify(present), ...lines] : lines;
    try {
      await this.#journal.append(news, () => this.#head(present), this.#today());
      this.#waiting = this.#waiting.slice(lines.length);
      this.#written = present;
      this.#isFailing = false;
    } catch (error) {
      if (!this.#isFailing) log.error({ event: 'history.not_written', error: errorText(error) });
      this.#isFailing = true;
    }
  }

  /** Turns the gathered events into lines; the oldest are dropped when too many wait. */
  #gather(): void {
    const lines = [
      ...this.#deliveries.take(),
      ...this.#load.take(),
      ...this.#decisions.take(this.#options.clock.monoMs()),
    ];
    this.#waiting = [...this.#waiting, ...lines.sort(byTime).map((line) => JSON.stringify(line))];
    const bytesMax = this.#options.bounds.maxBytes / WAITING_PART;
    let bytes = 0;
    const first = this.#waiting.findLastIndex((text) => {
      bytes += text.length + 1;
      return bytes > bytesMax;
    });
    if (first === -1) return;
    this.#waiting = this.#waiting.slice(first + 1);
    this.#options.log.warn({ event: 'history.lines_lost', lines: first + 1 });
  }

  /** The head of a file: makes the file readable without the earlier ones. */
  #head(present: LineOf<'clock'>): string[] {
    const setup = this.#decisions.setupLine();
    return [present, setup, this.#stateLine(false)].map((line) => JSON.stringify(line));
  }

  #stateLine(begins: boolean): LineOf<'state'> {
    const { clock, routingNow } = this.#options;
    const { providers, chosen } = routingNow();
    return stateLine(providers, chosen, begins, clock.monoMs());
  }

  /**
   * Writes the setup line, unless the newest file has it already or the next line begins a file, whose head
   * has it: a policy takes some kilobytes. Never rejects.
   */
  async #noteSetup(setup: LineOf<'setup'>): Promise<void> {
    let last: LineOf<'setup'> | null = null;
    try {
      const newest = (await this.#journal.files()).slice(-1);
      if (newest.length === 0) return;
      const entries = readEntries(newest, new BootClocks(), (text) => text.startsWith('{"k":"setup"'));
      for await (const { line } of entries) if (line.k === 'setup') last = line;
    } catch (error) {
      this.#options.log.warn({ event: 'history.not_read', error: errorText(error) });
    }
    if (last && JSON.stringify({ ...last, m: 0 }) === JSON.stringify({ ...setup, m: 0 })) return;
    this.#waiting.push(JSON.stringify(setup));
  }

  #clockLine(): LineOf<'clock'> {
    const { bootId: boot, offsetMs: off, quality: q } = this.#options.currentClock();
    return { k: 'clock', boot, off, q };
  }

  #isNews({ boot, off, q }: LineOf<'clock'>): boolean {
    const written = this.#written;
    return written?.boot !== boot || written.q !== q || Math.abs(written.off - off) > CLOCK_MOVED_MS;
  }

  #today(): Today {
    const { clock, currentClock } = this.#options;
    if (currentClock().quality !== 'synchronised') return { wallMs: null, day: null };
    const wallMs = clock.wallMs();
    return { wallMs, day: isoTime(wallMs).slice(0, 10) };
  }
}

function byTime(a: { m: number }, b: { m: number }): number {
  return a.m - b.m;
}
