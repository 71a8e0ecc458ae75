/**
 * The operators' holds: a set for each provider, stored over restarts in a file of their own. Routing knows
 * one hold, `manual`, as long as the set is not empty: ending one hold does not end another.
 *
 * A disk that refuses the file does not prevent a hold, which may be the remedy; the answer says that the
 * hold will not survive a restart (I9).
 */
import type { Clock, Timer } from '../../shared/clock.ts';
import { errorText, type Logger } from '../../shared/log.ts';
import type { Service } from '../../shared/service.ts';
import type { RoutingEvent } from '../routing/core/core.ts';
import { leftMs, type ManualHold, type Moment, takenUp } from './hold.ts';
import type { HoldFile } from './hold-file.ts';

/** Over all providers (I10). */
const HOLDS_MAX = 100;
const TICK_MS = 1000;

interface HoldsOptions {
  file: HoldFile;
  now: () => Moment;
  dispatch: (event: RoutingEvent) => void;
  clock: Clock;
  log: Logger;
}

export type HoldChange = { ok: true; kept: boolean } | { ok: false; problem: string };

export class Holds implements Service {
  readonly #options: HoldsOptions;
  #holds: readonly ManualHold[] = [];
  #writing: Promise<boolean> = Promise.resolve(true);
  #timer: Timer | null = null;

  constructor(options: HoldsOptions) {
    this.#options = options;
  }

  /** The holds are in force when it resolves. */
  async start(): Promise<void> {
    const { file, now, clock, log } = this.#options;
    const read = await file.read();
    if (read.state === 'damaged')
      log.error({ event: 'hold.file_damaged', problem: read.problem, effect: 'no manual holds' });
    const kept = read.state === 'ok' ? read.value.holds : [];
    const moment = now();
    await this.#become(kept.map((hold) => takenUp(hold, moment)));
    this.#timer = clock.every(TICK_MS, () => this.#end());
  }

  async stop(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = null;
    await this.#writing;
  }

  /** The holds in force, oldest first, each with its remaining time. */
  list(): Array<ManualHold & { leftMs: number | null }> {
    const moment = this.#options.now();
    return this.#holds.map((hold) => ({ ...hold, leftMs: leftMs(hold, moment) }));
  }

  /** Adding the same reason again restarts the hold. */
  async add(provider: string, reason: string, forMs: number | null): Promise<HoldChange> {
    const others = this.#holds.filter((hold) => hold.provider !== provider || hold.reason !== reason);
    if (others.length >= HOLDS_MAX) return { ok: false, problem: `there are ${HOLDS_MAX} holds already` };
    this.#options.log.warn({ event: 'hold.added', provider, reason, forMs });
    return {
      ok: true,
      kept: await this.#become([...others, { provider, reason, since: this.#options.now(), forMs }]),
    };
  }

  /** `reason` null: removes all holds of the provider. */
  async remove(provider: string, reason: string | null): Promise<HoldChange> {
    const isMeant = (hold: ManualHold): boolean =>
      hold.provider === provider && (reason === null || hold.reason === reason);
    if (!this.#holds.some(isMeant)) {
      const what = reason === null ? 'no manual hold' : `no hold "${reason}"`;
      return { ok: false, problem: `${provider} has ${what}` };
    }
    this.#options.log.warn({ event: 'hold.removed', provider, reason });
    return { ok: true, kept: await this.#become(this.#holds.filter((hold) => !isMeant(hold))) };
  }

  #end(): void {
    const moment = this.#options.now();
    const over = this.#holds.filter((hold) => leftMs(hold, moment) === 0);
    if (over.length === 0) return;
    for (const { provider, reason } of over) this.#options.log.warn({ event: 'hold.over', provider, reason });
    void this.#become(this.#holds.filter((hold) => !over.includes(hold)));
  }

  /** Sets the holds at once. Resolves with whether they are on disk. Never rejects. */
  #become(holds: readonly ManualHold[]): Promise<boolean> {
    const { dispatch } = this.#options;
    const before = new Set(this.#holds.map(({ provider }) => provider));
    const after = new Set(holds.map(({ provider }) => provider));
    const isSame = holds.length === 0 && this.#holds.length === 0;
    this.#holds = holds;
    for (const provider of after.difference(before)) dispatch({ kind: 'hold', provider, reason: 'manual' });
    for (const provider of before.difference(after))
      dispatch({ kind: 'release', provider, reason: 'manual' });
    if (!isSame) this.#writing = this.#writing.then(() => this.#write(holds));
    return this.#writing;
  }

  async #write(holds: readonly ManualHold[]): Promise<boolean> {
    try {
      await this.#options.file.write(holds);
      return true;
    } catch (error) {
      this.#options.log.error({ event: 'hold.file_not_written', error: errorText(error) });
      return false;
    }
  }
}
