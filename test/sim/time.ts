/**
 * Virtual time (I11): a queue of events ordered by time, then by the order in which they were asked for.
 * Nothing waits: the clock jumps to the next event. After each event the promises it set going run to their
 * end, so that one seed is one run.
 *
 * A machine sleeps when nothing happens near it: its periodic timers then fire once per stride instead of
 * once per period, as on a computer that is suspended. One-shot timers are always exact. That is where the
 * speed comes from.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock, Timer } from '../../shared/clock.ts';

/** Between two firings of a periodic timer of a machine that sleeps. */
const STRIDE_MS = 120_000;
/** Turns of the event loop that the router's intake takes from a message to its commit. */
const ROUTER_TURNS = 4;

interface Entry {
  atMs: number;
  order: number;
  run: (() => void) | null;
}

export class VirtualTime {
  nowMs: number = 0;
  /** Events so far. */
  events: number = 0;
  /** More are not run: a world that never comes to rest must end too. */
  eventsMax: number = Number.POSITIVE_INFINITY;
  readonly #heap: Entry[] = [];
  #order = 0;
  #turns = 1;

  at(atMs: number, run: () => void): Timer {
    const entry: Entry = { atMs: Math.max(atMs, this.nowMs), order: this.#order, run };
    this.#order += 1;
    this.#push(entry);
    return {
      cancel: () => {
        entry.run = null;
      },
    };
  }

  after(delayMs: number, run: () => void): Timer {
    return this.at(this.nowMs + delayMs, run);
  }

  /** The running event hands something to the router, whose intake needs more turns of the event loop. */
  routerWorks(): void {
    this.#turns = ROUTER_TURNS;
  }

  get isExhausted(): boolean {
    return this.events >= this.eventsMax;
  }

  /** Runs everything up to `endMs`. */
  async runTo(endMs: number): Promise<void> {
    for (let next = this.#heap[0]; next && next.atMs <= endMs; next = this.#heap[0]) {
      if (this.isExhausted) break;
      this.#pop();
      if (!next.run) continue;
      this.nowMs = next.atMs;
      this.events += 1;
      next.run();
      for (; this.#turns > 0; this.#turns -= 1) await nextTurn();
      this.#turns = 1;
    }
    this.nowMs = Math.max(this.nowMs, endMs);
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let i = heap.length;
    heap.push(entry);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const above = heap[parent];
      if (!above || !isBefore(entry, above)) break;
      heap[i] = above;
      i = parent;
    }
    heap[i] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (!last || heap.length === 0) return;
    let i = 0;
    for (;;) {
      const left = heap[2 * i + 1];
      const right = heap[2 * i + 2];
      const child = right && left && isBefore(right, left) ? 2 * i + 2 : 2 * i + 1;
      const below = heap[child];
      if (!below || !isBefore(below, last)) break;
      heap[i] = below;
      i = child;
    }
    heap[i] = last;
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.atMs === b.atMs ? a.order < b.order : a.atMs < b.atMs;
}

interface Periodic {
  periodMs: number;
  fire: () => void;
  nextMs: number;
  timer: Timer | null;
}

/** A computer: its clocks, and whether anything happens near it. Processes on it come and go. */
export class Machine {
  readonly #time: VirtualTime;
  readonly #periodic = new Set<Periodic>();
  readonly #sleepers = new Set<() => void>();
  #bootedMs: number;
  #awakeUntilMs = 0;
  /** Wall clock minus the world's time. */
  wallOffsetMs: number;
  boots: number = 1;

  constructor(time: VirtualTime, wallOffsetMs: number) {
    this.#time = time;
    this.#bootedMs = time.nowMs - 1000;
    this.wallOffsetMs = wallOffsetMs;
  }

  /** Monotonic time begins again. */
  reboot(wallOffsetMs: number): void {
    this.boots += 1;
    this.#bootedMs = this.#time.nowMs - 1000;
    this.wallOffsetMs = wallOffsetMs;
  }

  get monoMs(): number {
    return this.#time.nowMs - this.#bootedMs;
  }

  /** Periodic timers keep their period for so long. */
  wake(forMs: number): void {
    const { nowMs } = this.#time;
    this.#awakeUntilMs = Math.max(this.#awakeUntilMs, nowMs + forMs);
    for (const periodic of this.#periodic) {
      if (periodic.nextMs > nowMs + periodic.periodMs) this.#arm(periodic);
    }
    for (const wakeUp of this.#sleepers) wakeUp();
  }

  /** Resolves when the machine is awake, at the latest after `withinMs`. */
  awake(withinMs: number): Promise<void> {
    if (this.#time.nowMs < this.#awakeUntilMs) return Promise.resolve();
    return new Promise((resolve) => {
      const wakeUp = (): void => {
        timer.cancel();
        this.#sleepers.delete(wakeUp);
        resolve();
      };
      const timer = this.#time.after(withinMs, wakeUp);
      this.#sleepers.add(wakeUp);
    });
  }

  every(periodMs: number, fire: () => void): Timer {
    const periodic: Periodic = { periodMs, fire, nextMs: 0, timer: null };
    this.#periodic.add(periodic);
    this.#arm(periodic);
    return {
      cancel: () => {
        periodic.timer?.cancel();
        this.#periodic.delete(periodic);
      },
    };
  }

  #arm(periodic: Periodic): void {
    const { nowMs } = this.#time;
    periodic.timer?.cancel();
    const stepMs = nowMs < this.#awakeUntilMs ? periodic.periodMs : Math.max(STRIDE_MS, periodic.periodMs);
    periodic.nextMs = nowMs + stepMs;
    periodic.timer = this.#time.at(periodic.nextMs, () => {
      this.#arm(periodic);
      periodic.fire();
    });
  }
}

/** The clock of one process: what it set going ends with it. */
export class ProcessClock implements Clock {
  readonly #time: VirtualTime;
  readonly #machine: Machine;
  readonly #timers = new Set<Timer>();
  #alive: boolean = true;

  constructor(time: VirtualTime, machine: Machine) {
    this.#time = time;
    this.#machine = machine;
  }

  get alive(): boolean {
    return this.#alive;
  }

  monoMs(): number {
    return this.#machine.monoMs;
  }

  wallMs(): number {
    return this.#time.nowMs + this.#machine.wallOffsetMs;
  }

  setTimer(delayMs: number, run: () => void): Timer {
    return this.#time.after(delayMs, () => {
      if (this.#alive) run();
    });
  }

  every(periodMs: number, run: () => void): Timer {
    const timer = this.#machine.every(periodMs, run);
    this.#timers.add(timer);
    return timer;
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const over = (): void => {
        timer.cancel();
        signal?.removeEventListener('abort', over);
        resolve();
      };
      const timer = this.setTimer(delayMs, over);
      signal?.addEventListener('abort', over);
    });
  }

  /** SIGKILL. */
  kill(): void {
    this.#alive = false;
    for (const timer of this.#timers) timer.cancel();
  }
}
