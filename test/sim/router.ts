/**
 * The router of a world: the real intake (router/ingest/ingest.ts) over a ledger whose rules are the real
 * ones and whose disk is the world's. A commit lands whole or not at all; a crash between commit and
 * settlement leaves the message to come again.
 */

import { createPublicKey, type KeyObject } from 'node:crypto';
import { Ingest } from '../../router/ingest/ingest.ts';
import { committed, type Judged, nothingCommitted } from '../../router/ledger/rules/outcome.ts';
import { causeOf, countCause, type Way } from '../../router/ledger/rules/repeat-cause.ts';
import {
  absorb,
  completenessOf,
  counted,
  EMPTY_STREAM,
  isContactOnly,
  judge,
  type StreamState,
} from '../../router/ledger/rules/rules.ts';
import type { CommitResult, LedgerEntry, StreamCompleteness } from '../../router/ledger/types.ts';
import { ReceiptForm } from '../../router/receipts/form.ts';
import { Receipts } from '../../router/receipts/receipts.ts';
import type { Answer } from '../../router/sources/https/answer.ts';
import { Downlink } from '../../router/sources/https/downlink.ts';
import { type Entropy, systemEntropy } from '../../shared/entropy.ts';
import type { Envelope } from '../../shared/envelope/envelope.ts';
import { createLogger } from '../../shared/log.ts';
import type { StreamKey, TelemetryRecord } from '../../shared/record.ts';
import { newPrivateKey } from '../../shared/signing/private-key.ts';
import { signerOf } from '../../shared/signing/signature.ts';
import { SparseLog } from '../../shared/sparse-log.ts';
import type { Cloud, CloudMessage } from './cloud.ts';
import { Machine, ProcessClock, type VirtualTime } from './time.ts';
import type { Truth } from './truth.ts';

const COMMIT_MS = 15;
/** Between two receipts for one gateway. */
const RECEIPT_INTERVAL_MS = 1000;

/** The form of receipts with a key that is the same in every world: it takes nothing of a world's entropy. */
export function formOf(seed: number): { form: ReceiptForm; publicKey: KeyObject } {
  const key = newPrivateKey({ ...systemEntropy, bytes: (count) => new Uint8Array(count).fill(seed) });
  const form = new ReceiptForm({ signer: signerOf(key), unsignedCopy: false });
  return { form, publicKey: createPublicKey(key) };
}

export const { form: FORM, publicKey: ROUTER_KEY } = formOf(7);

/** Content of the ledger's disk. */
export class LedgerDisk {
  readonly streams = new Map<string, { key: StreamKey; state: StreamState }>();
  readonly records = new Map<string, { record: TelemetryRecord; way: Way }>();
  failsUntilMs: number = 0;
  readonly #truth: Truth;

  constructor(truth: Truth) {
    this.#truth = truth;
  }

  /** One transaction. */
  commit(entries: readonly LedgerEntry[]): CommitResult[] {
    return entries.map((entry) => {
      const { envelope } = entry;
      if (isContactOnly(envelope)) return nothingCommitted();
      const { gateway, epoch, stream } = envelope;
      const name = `${gateway}/${epoch}/${stream}`;
      const before = this.streams.get(name)?.state ?? EMPTY_STREAM;
      const absorption = absorb(before, envelope, entry);
      for (const record of absorption.fresh) this.#keep(`${name}/${record.seq}`, record, entry);
      const judged = this.#judged(name, entry, absorption.repeated);
      const result = committed(absorption, judged);
      const state = counted(absorption.state, result.duplicate, result.conflict);
      this.streams.set(name, { key: { gateway, epoch, stream }, state });
      return result;
    });
  }

  /** Its statement of a gateway's streams. */
  completeness(gateway: string): StreamCompleteness[] {
    return [...this.streams.values()]
      .filter(({ key }) => key.gateway === gateway)
      .map(({ key, state }) => completenessOf(key, state));
  }

  /** Whether everything that an envelope says is here. */
  holds({ gateway, epoch, stream, records, gaps, sealedAt }: Envelope): boolean {
    const name = `${gateway}/${epoch}/${stream}`;
    const state = this.streams.get(name)?.state;
    if (!state) return records.length + gaps.length === 0 && sealedAt === null;
    const known = completenessOf({ gateway, epoch, stream }, state);
    return (
      records.every(({ seq }) => this.records.has(`${name}/${seq}`)) &&
      gaps.every(({ first, last }) => known.missing.every((m) => m.last < first || m.first > last)) &&
      (sealedAt === null || (known.sealedAt !== null && known.sealedAt >= sealedAt))
    );
  }

  #judged(name: string, entry: LedgerEntry, repeated: readonly TelemetryRecord[]): Judged {
    const causes: Judged['causes'] = {};
    const sorted: Record<'duplicate' | 'conflict', TelemetryRecord[]> = { duplicate: [], conflict: [] };
    for (const record of repeated) {
      const id = `${name}/${record.seq}`;
      const held = this.records.get(id);
      const verdict = judge(record, held ? [held.record] : []);
      sorted[verdict].push(record);
      if (verdict === 'conflict') continue;
      const cause = causeOf(entry, held?.way);
      this.#truth.repeated(id, cause);
      countCause(causes, cause);
    }
    return { duplicates: sorted.duplicate, inConflict: sorted.conflict, causes };
  }

  #keep(id: string, record: TelemetryRecord, { source, sentAs = null }: LedgerEntry): void {
    this.#truth.check(!this.records.has(id), 'I5', () => `${id} is in the ledger twice`);
    const known = this.#truth.arrived(id, record, 'the ledger');
    if (known) known.isInLedger = true;
    this.records.set(id, { record, way: { source, sentAs } });
  }
}

export interface SimRouterOptions {
  time: VirtualTime;
  entropy: Entropy;
  truth: Truth;
  clouds: ReadonlyMap<string, Cloud>;
}

export class SimRouter {
  readonly disk: LedgerDisk;
  readonly #options: SimRouterOptions;
  readonly #machine: Machine;
  /** Messages that wait for a router. */
  #parked: CloudMessage[] = [];
  #life: { clock: ProcessClock; ingest: Ingest; downlink: Downlink; end: AbortController } | null = null;

  constructor(options: SimRouterOptions) {
    this.#options = options;
    this.disk = new LedgerDisk(options.truth);
    this.#machine = new Machine(options.time, 0);
    this.start();
  }

  start(): void {
    if (this.#life) return;
    const clock = new ProcessClock(this.#options.time, this.#machine);
    const log = createLogger({ level: 'silent', levels: {} });
    const ledger = {
      commit: (entries: readonly LedgerEntry[]) => this.#commit(clock, entries),
      ping: () => Promise.resolve(),
      deadLetter: async ({ detail }: { detail: string }) =>
        this.#options.truth.check(false, 'I6', () => `a dead letter: ${detail}`),
    };
    const completeness = async (gateway: string): Promise<StreamCompleteness[]> => {
      if (this.#options.time.nowMs < this.disk.failsUntilMs) throw new Error('the ledger failed');
      return this.disk.completeness(gateway);
    };
    const receipts = new Receipts({ ledger: { completeness }, clock, intervalMs: RECEIPT_INTERVAL_MS });
    const onCommit = (committed: readonly LedgerEntry[]): void =>
      receipts.committed(committed.map(({ envelope }) => envelope));
    this.#life = {
      clock,
      ingest: new Ingest({ ledger, clock, log, onCommit }),
      downlink: new Downlink({ receipts, form: FORM, log: new SparseLog({ log, clock }) }),
      end: new AbortController(),
    };
    const parked = this.#parked;
    this.#parked = [];
    for (const message of parked) this.#options.clouds.get(message.cloud)?.deliver(message);
  }

  crash(): void {
    this.#life?.clock.kill();
    this.#life?.end.abort();
    this.#life = null;
  }

  /** A gateway asks for its receipt. Null: no router runs, or it died meanwhile. */
  async poll(gateway: string, query: object, signal: AbortSignal): Promise<Answer | null> {
    const life = this.#life;
    if (!life) return null;
    const { promise: died, resolve } = Promise.withResolvers<null>();
    const die = (): void => resolve(null);
    life.end.signal.addEventListener('abort', die);
    const answer = await Promise.race([life.downlink.poll(gateway, query, signal), died]);
    life.end.signal.removeEventListener('abort', die);
    return answer;
  }

  /** False while no router runs. */
  deliver(message: CloudMessage): boolean {
    const life = this.#life;
    if (!life) {
      if (!this.#parked.includes(message)) this.#parked.push(message);
      return false;
    }
    message.deliveries += 1;
    this.#options.time.routerWorks();
    const { cloud, gateway, bytes, envelope, sentAs, deliveries } = message;
    const delivery = {
      source: cloud,
      bytes,
      authenticatedGateway: gateway,
      deliveryCount: deliveries,
      sentAs,
    };
    void life.ingest.handler(delivery).then((settlement) => {
      if (!life.clock.alive) return;
      const { truth, clouds } = this.#options;
      if (settlement === 'settle') {
        truth.check(this.disk.holds(envelope), 'I5', () => `${cloud} was settled before the commit`);
      }
      truth.note('settle', cloud, gateway, bytes.length, settlement);
      clouds.get(cloud)?.settled(message, settlement);
    });
    return true;
  }

  /** A commit lands after a while; when the router dies meanwhile, it may land without an acknowledgement. */
  #commit(clock: ProcessClock, entries: readonly LedgerEntry[]): Promise<CommitResult[]> {
    const { time, entropy } = this.#options;
    return new Promise((resolve, reject) => {
      time.after(COMMIT_MS, () => {
        time.routerWorks();
        if (time.nowMs < this.disk.failsUntilMs) return reject(new Error('the ledger failed'));
        if (!clock.alive && entropy.float() < 0.5) return;
        const results = this.disk.commit(entries);
        if (clock.alive) resolve(results);
      });
    });
  }
}
