/**
 * Whose envelopes the next commit takes. Gateways take turns, and a commit has a bounded number of records,
 * so that an envelope of thousands does not ride with every other one. A gateway whose commits take long
 * rests after each while others are about: a commit cannot be interrupted, so only pauses leave the ledger
 * free when somebody else's envelope comes. Of one gateway, envelopes keep their order.
 *
 * Pure: the caller says what time it is.
 */
import type { IngestLimits, Waiting } from './group.ts';

/** A gateway with less time in a commit never rests: its envelopes are small, or few. */
const REST_FROM_MS = 10;
/** Of the ledger's time, one gateway takes at most two fifths while others are about. */
const REST_PER_MS = 1.5;
/** No gateway waits longer for its turn. */
const REST_MS_MAX = 1000;
/** Another gateway that sent nothing for so long is not about. */
const ABOUT_MS = 10_000;
/** Most gateways whose rest is remembered (I10); the oldest is forgotten. */
const RESTS_MAX = 10_000;

export interface Turn {
  /** Empty while all that wait rest. */
  group: Waiting[];
  /** Until the first of them has rested; 0 with a group. */
  waitMs: number;
}

export class CommitTurns {
  readonly #limits: IngestLimits;
  /** By gateway, the next turn first; one without envelopes is absent. */
  readonly #waiting = new Map<string, Waiting[]>();
  readonly #restsUntilMs = new Map<string, number>();
  /** The last two gateways that sent something, the last first. */
  #about: Array<{ gateway: string; atMs: number }> = [];
  #size = 0;
  #bytes = 0;

  constructor(limits: IngestLimits) {
    this.#limits = limits;
  }

  /** Envelopes that wait. */
  get size(): number {
    return this.#size;
  }

  /** Their decoded bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  add(waiting: Waiting, nowMs: number): void {
    const { gateway } = waiting.entry.envelope;
    const queue = this.#waiting.get(gateway);
    if (queue === undefined) this.#waiting.set(gateway, [waiting]);
    else queue.push(waiting);
    this.#size += 1;
    this.#bytes += waiting.bytes;
    this.#about = [{ gateway, atMs: nowMs }, ...this.#about.filter((one) => one.gateway !== gateway)].slice(
      0,
      2,
    );
  }

  /** Takes the envelopes of the next commit. */
  next(nowMs: number): Turn {
    const group: Waiting[] = [];
    let [bytes, records] = [0, 0];
    let waitMs = REST_MS_MAX;
    const { groupEnvelopesMax, groupBytesMax, groupRecordsMax } = this.#limits;
    for (let isRound = true; isRound; ) {
      isRound = false;
      for (const [gateway, queue] of [...this.#waiting]) {
        const restMs = this.#restOf(gateway, nowMs);
        const [first] = queue;
        if (first === undefined) continue;
        if (restMs > 0) {
          waitMs = Math.min(waitMs, restMs);
          continue;
        }
        const size = first.entry.envelope.records.length;
        const fits =
          group.length < groupEnvelopesMax &&
          bytes + first.bytes <= groupBytesMax &&
          records + size <= groupRecordsMax;
        if (group.length > 0 && !fits) continue;
        this.#take(gateway, queue);
        group.push(first);
        bytes += first.bytes;
        records += size;
        isRound = group.length < groupEnvelopesMax;
      }
    }
    this.#size -= group.length;
    this.#bytes -= bytes;
    return group.length > 0 ? { group, waitMs: 0 } : { group, waitMs };
  }

  /** The commit of `group` took so long: its gateways share it by their records. */
  took(group: readonly Waiting[], tookMs: number, nowMs: number): void {
    const records = new Map<string, number>();
    let total = 0;
    for (const { entry } of group) {
      const { gateway, records: own } = entry.envelope;
      records.set(gateway, (records.get(gateway) ?? 0) + 1 + own.length);
      total += 1 + own.length;
    }
    for (const [gateway, own] of records) {
      const shareMs = (tookMs * own) / total;
      if (shareMs < REST_FROM_MS) continue;
      this.#restsUntilMs.delete(gateway);
      this.#restsUntilMs.set(gateway, nowMs + Math.min(REST_MS_MAX, shareMs * REST_PER_MS));
      const [oldest] = this.#restsUntilMs.keys();
      if (this.#restsUntilMs.size > RESTS_MAX && oldest !== undefined) this.#restsUntilMs.delete(oldest);
    }
  }

  /** Whether no other gateway has sent an envelope lately. */
  isAlone(gateway: string, nowMs: number): boolean {
    return !this.#about.some((one) => one.gateway !== gateway && nowMs - one.atMs <= ABOUT_MS);
  }

  /** The rest of its rest, in milliseconds; 0 while no other gateway is about. */
  #restOf(gateway: string, nowMs: number): number {
    const untilMs = this.#restsUntilMs.get(gateway);
    if (untilMs === undefined) return 0;
    if (untilMs <= nowMs) {
      this.#restsUntilMs.delete(gateway);
      return 0;
    }
    return this.isAlone(gateway, nowMs) ? 0 : untilMs - nowMs;
  }

  /** Takes its first envelope; it is the last in the next round. */
  #take(gateway: string, queue: Waiting[]): void {
    queue.shift();
    this.#waiting.delete(gateway);
    if (queue.length > 0) this.#waiting.set(gateway, queue);
  }
}
