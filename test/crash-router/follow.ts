/** Follows the ledger by offset, as a feed does, and compares what it reads with the generator's log. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Ledger } from '../../router/ledger/ledger.ts';
import type { LedgerRecord } from '../../router/ledger/types.ts';
import { EPOCH, gatewayName, recordOf, STREAM } from './feed.ts';

const PAGE = 5000;
const IDLE_MS = 100;

export interface Followed {
  /** Ids of the generator's log that were not read. */
  missing: number;
  /** Records read under an id that was read before. */
  doubled: number;
  /** Records that are not what the generator's log has under their id, or of no id in it. */
  wrong: number;
  /** Offsets that did not follow the one before. */
  unordered: number;
}

export class Follower {
  readonly #seen: Uint8Array[];
  readonly #numbers = new Map<string, number>();
  #after = 0;
  #doubled = 0;
  #wrong = 0;
  #unordered = 0;

  constructor(gateways: number, perGateway: number) {
    this.#seen = Array.from({ length: gateways }, () => new Uint8Array(perGateway + 1));
    for (let gateway = 0; gateway < gateways; gateway += 1) this.#numbers.set(gatewayName(gateway), gateway);
  }

  /** Until `isDone` and there is no more; failures before that are a server that is away. */
  async follow(ledger: Ledger, isDone: () => boolean): Promise<Followed> {
    for (;;) {
      const done = isDone();
      try {
        const page = await ledger.read(this.#after, PAGE);
        for (const record of page) this.#check(record);
        if (page.length === 0 && done) return this.#result();
        if (page.length === 0) await sleep(IDLE_MS);
      } catch (error) {
        if (done) throw error;
        await sleep(IDLE_MS);
      }
    }
  }

  #check(record: LedgerRecord): void {
    if (record.offset !== this.#after + 1) this.#unordered += 1;
    this.#after = record.offset;
    const { seq, epoch, stream } = record;
    const gateway = this.#numbers.get(record.gateway) ?? -1;
    const seen = this.#seen[gateway];
    if (!seen || seq >= seen.length || epoch !== EPOCH || stream !== STREAM) {
      this.#wrong += 1;
      return;
    }
    if (seen[seq] === 1) this.#doubled += 1;
    seen[seq] = 1;
    const fed = recordOf(gateway, seq);
    const same =
      record.device === fed.device &&
      record.topic === fed.topic &&
      record.monoMs === fed.monoMs &&
      Buffer.compare(record.payload, fed.payload) === 0;
    if (!same) this.#wrong += 1;
  }

  #result(): Followed {
    const missing = this.#seen.reduce((sum, seen) => {
      let unseen = 0;
      for (let seq = 1; seq < seen.length; seq += 1) unseen += seen[seq] === 0 ? 1 : 0;
      return sum + unseen;
    }, 0);
    return { missing, doubled: this.#doubled, wrong: this.#wrong, unordered: this.#unordered };
  }
}
