/**
 * A world from one seed: gateways, three clouds, a router, traffic, and a plan of what goes wrong. After the
 * last fault everything heals; then all that was acknowledged must be in the ledger, or be known as given up
 * (I3, I6).
 */

import { limitsOf, type StoreLimits } from '../../agent/store/limits.ts';
import type { RepeatCause } from '../../router/ledger/types.ts';
import { type Entropy, seededEntropy } from '../../shared/entropy.ts';
import type { Policy } from '../../shared/policy/policy.ts';
import { Cloud } from './cloud.ts';
import type { DownlinkFault } from './downlink.ts';
import { finalChecks } from './final.ts';
import { SimGateway } from './gateway.ts';
import { type CloudName, type Fault, type Plan, pick, planOf } from './plan.ts';
import { firstProposal, type Proposal, providers, read, STREAMS } from './policies.ts';
import { SimRouter } from './router.ts';
import { strike } from './strike.ts';
import { VirtualTime } from './time.ts';
import { Truth, type Violation } from './truth.ts';

/** Between two bursts of a gateway in a quiet hour, in the mean. */
const BURST_EVERY_MS = 5_400_000;
const BURST_RECORDS_MAX = 24;
const BACKUP_EVERY_MS = 30_000_000;
/** Healed, everything must be delivered within this: the longest pause of a breaker, and some. */
const DRAIN_MS = 1_800_000;
const SETTLE_MS = 150_000;
const DAY_MS = 86_400_000;
/** Twenty times what a busy world takes: beyond that a part repeats itself without end. */
const EVENTS_PER_DAY_MAX = 1_000_000;

export interface WorldOptions {
  seed: number;
  days: number;
  /** Fewer gateways than the seed says. */
  gateways?: number | undefined;
  /** Of the seed's faults, only these, by their place in the plan. */
  faults?: readonly number[] | undefined;
}

export interface WorldResult {
  seed: number;
  violations: Violation[];
  events: number;
  records: number;
  gateways: number;
  /** Seconds that the gateways lived, summed. */
  gatewaySeconds: number;
  faults: number;
  /** Duplicates that the ledger found, by cause. */
  repeats: Partial<Record<RepeatCause, number>>;
  /** The same for every run of the seed (I11). */
  digest: string;
}

/** The plan of a seed, cut to what `options` leave of it. */
export function planFor({ seed, days, gateways, faults }: WorldOptions): Plan & { indexes: number[] } {
  const whole = planOf(seededEntropy(seed), days);
  const count = Math.min(whole.gateways, gateways ?? whole.gateways);
  const kept = whole.faults
    .map((fault, index) => ({ fault, index }))
    .filter(({ fault, index }) => (fault.gateway ?? 0) < count && (faults?.includes(index) ?? true));
  return {
    gateways: count,
    endMs: whole.endMs,
    faults: kept.map(({ fault }) => fault),
    indexes: kept.map(({ index }) => index),
  };
}

export async function runWorld(options: WorldOptions): Promise<WorldResult> {
  const plan = planFor(options);
  const world = new World(options.seed, plan);
  await world.run();
  const { truth, time } = world;
  return {
    seed: options.seed,
    violations: truth.violations,
    events: time.events,
    records: truth.records.size,
    gateways: plan.gateways,
    gatewaySeconds: (plan.gateways * time.nowMs) / 1000,
    faults: plan.faults.length,
    repeats: Object.fromEntries(truth.repeats),
    digest: truth.digest(),
  };
}

export class World {
  readonly time: VirtualTime = new VirtualTime();
  readonly truth: Truth;
  readonly router: SimRouter;
  readonly clouds: Map<CloudName, Cloud> = new Map();
  readonly gateways: SimGateway[];
  readonly downlinkFaults: Set<DownlinkFault> = new Set();
  readonly #plan: Plan;
  readonly #traffic: Entropy;
  #numbers = 0;

  constructor(seed: number, plan: Plan, proposal?: Proposal) {
    // Each part draws from entropy of its own, so that leaving a fault out changes the rest as little as can
    // be.
    const part = (n: number): Entropy => seededEntropy((seed ^ Math.imul(n, 0x9e3779b1)) >>> 0);
    this.#plan = plan;
    const setup = part(1);
    this.#traffic = part(2);
    const facts = providers(setup);
    const first = read(proposal ?? firstProposal(setup, facts), facts);
    if (!first) throw new Error('the first policy is sound');
    const { streams } = first.policy;
    const untilReceipt = Object.keys(streams).filter((name) => streams[name]?.until === 'receipt');
    this.truth = new Truth(this.time, new Set(untilReceipt));
    const { time, truth } = this;
    this.router = new SimRouter({ time, entropy: part(3), truth, clouds: this.clouds });
    for (const [i, { name, region }] of facts.entries()) {
      const cloud = new Cloud({
        name,
        region,
        time,
        entropy: part(10 + i),
        truth,
        mayHold: (gateway, stream, where) =>
          this.gateways.some((one) => one.name === gateway && one.mayHold(stream, where)),
        deliver: (message) => this.router.deliver(message),
      });
      this.clouds.set(name, cloud);
    }
    const limits = storeLimits(first.policy, pick([600, 600, 4_000, 1_000_000], setup));
    this.gateways = Array.from(
      { length: plan.gateways },
      (_, i) =>
        new SimGateway({
          name: `gw-${i + 1}`,
          first,
          limits,
          facts,
          clouds: this.clouds,
          router: this.router,
          downlinkFaults: this.downlinkFaults,
          time,
          truth,
          entropy: part(100 + i),
          nextNumber: () => {
            this.#numbers += 1;
            return this.#numbers;
          },
        }),
    );
  }

  async run(): Promise<void> {
    this.time.eventsMax = EVENTS_PER_DAY_MAX * Math.max(1, this.#plan.endMs / DAY_MS);
    for (const gateway of this.gateways) {
      this.#bursts(gateway);
      this.#backups(gateway);
    }
    for (const fault of this.#plan.faults) this.#schedule(fault);
    await this.time.runTo(this.#plan.endMs);
    this.#heal();
    await this.#drained();
    // A last start, so that the end of every epoch but one is announced.
    for (const gateway of this.gateways) gateway.crash();
    for (const gateway of this.gateways) gateway.start();
    await this.#drained();
    const { time, truth } = this;
    truth.check(!time.isExhausted, 'I10', () => `no rest after ${time.events} events`);
    finalChecks(truth, this.router.disk);
  }

  /** A record every `everyMs` from now on, for `forMs`; the machine stays awake. */
  steady(gateway: SimGateway, stream: string, everyMs: number, forMs: number): void {
    for (let ms = 0; ms < forMs; ms += everyMs) this.time.after(ms, () => gateway.publish(stream));
  }

  #schedule(fault: Fault): void {
    const { time } = this;
    time.at(fault.atMs, () => strike(this, fault));
    const touched = this.gateways.filter((_, i) => fault.gateway === null || fault.gateway === i);
    for (const gateway of touched) {
      this.#busy(gateway, fault.atMs - 1000, 4000);
      this.#busy(gateway, fault.atMs + fault.durationMs - 500, 2500);
    }
  }

  /** Traffic around the edge of a fault. */
  #busy(gateway: SimGateway, fromMs: number, forMs: number): void {
    for (let ms = 0; ms < forMs; ms += 100 + 500 * this.#traffic.float()) {
      const stream = pick(STREAMS, this.#traffic);
      if (fromMs + ms < this.#plan.endMs) this.time.at(fromMs + ms, () => gateway.publish(stream));
    }
  }

  #bursts(gateway: SimGateway): void {
    const { endMs } = this.#plan;
    for (let atMs = 1000; atMs < endMs; atMs += -Math.log(1 - this.#traffic.float()) * BURST_EVERY_MS) {
      const count = 1 + Math.floor(this.#traffic.float() * BURST_RECORDS_MAX);
      const stream = pick(STREAMS, this.#traffic);
      const spacingMs = pick([0, 40], this.#traffic);
      for (let i = 0; i < count; i += 1) this.time.at(atMs + i * spacingMs, () => gateway.publish(stream));
    }
  }

  #backups(gateway: SimGateway): void {
    for (
      let atMs = BACKUP_EVERY_MS * this.#traffic.float();
      atMs < this.#plan.endMs;
      atMs += BACKUP_EVERY_MS
    ) {
      this.time.at(atMs, () => {
        gateway.backup = gateway.disk.copy();
      });
    }
  }

  #heal(): void {
    for (const cloud of this.clouds.values()) cloud.faults.clear();
    this.router.disk.failsUntilMs = 0;
    this.downlinkFaults.clear();
    this.router.start();
    for (const gateway of this.gateways) {
      gateway.disk.stalledUntilMs = 0;
      gateway.disk.failsUntilMs = 0;
      gateway.calm();
    }
  }

  async #drained(): Promise<void> {
    const { time, truth } = this;
    const giveUpMs = time.nowMs + DRAIN_MS;
    const waiting = (): SimGateway[] => this.gateways.filter(({ isDrained }) => !isDrained);
    while (waiting().length > 0 && time.nowMs < giveUpMs) {
      for (const { machine } of waiting()) machine.wake(2000);
      await time.runTo(time.nowMs + 10_000);
    }
    const stuck = waiting().map(({ name }) => name);
    truth.check(stuck.length === 0, 'I9', () => `${stuck} still hold records long after all healed`);
    await time.runTo(time.nowMs + SETTLE_MS);
  }
}

function storeLimits({ streams }: Policy, maxBytes: number): StoreLimits {
  const unnamed = limitsOf({ maxBytes, streams: {} }, 'any');
  const named = Object.entries(streams).map(
    ([name, { priority }]) => [name, { ...unnamed, priority }] as const,
  );
  return { maxBytes, streams: Object.fromEntries(named) };
}
