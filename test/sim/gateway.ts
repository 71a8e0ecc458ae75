/**
 * One gateway of a world: a machine with a disk, an operator and a policy in force, and one agent after the
 * other on it.
 */

import type { RoutingMemory } from '../../agent/routing/core/core.ts';
import type { LiveRouting } from '../../agent/routing/live-routing.ts';
import type { StoreLimits } from '../../agent/store/limits.ts';
import { StoreError } from '../../agent/store/types.ts';
import { type Entropy, seededEntropy } from '../../shared/entropy.ts';
import { createLogger, type Logger } from '../../shared/log.ts';
import { type Agent, AWAKE_MS, startAgent } from './agent.ts';
import type { Cloud } from './cloud.ts';
import { Disk } from './disk.ts';
import type { DownlinkFault } from './downlink.ts';
import { Operator } from './operator.ts';
import { type Facts, type InForce, mayHold, nextProposal, read } from './policies.ts';
import type { SimRouter } from './router.ts';
import { RoutingLog } from './routing-log.ts';
import { Machine, ProcessClock, type VirtualTime } from './time.ts';
import type { Truth } from './truth.ts';

/** A publish is answered within this, disk faults apart, whatever the clouds do (I9). */
const ANSWER_MS = 1000;
/** An operator who found no agent tries again. */
const COME_AGAIN_MS = 60_000;
const CALM_MS = 1000;

export interface GatewayOptions {
  name: string;
  /** The first policy of the gateway. */
  first: InForce;
  limits: StoreLimits;
  facts: readonly Facts[];
  router: SimRouter;
  downlinkFaults: ReadonlySet<DownlinkFault>;
  clouds: ReadonlyMap<string, Cloud>;
  time: VirtualTime;
  entropy: Entropy;
  truth: Truth;
  nextNumber: () => number;
}

export class SimGateway {
  readonly machine: Machine;
  disk: Disk = new Disk();
  /** The disk at some time, which a restore puts back. */
  backup: Disk | null = null;
  /** Switches of the stream `telemetry`, in all lives. */
  switches: number = 0;
  /** Times that records were sent again because a cloud had acknowledged and not delivered them. */
  undelivered: number = 0;
  readonly operator: Operator;
  #inForce: InForce;
  readonly #options: GatewayOptions;
  readonly #log: Logger = createLogger(
    { level: 'info', levels: {} },
    { write: (line) => this.#logged(line) },
  );
  #life: Agent | null = null;
  /** The last agent's written state of its routing, and when. */
  #remembered: { memory: RoutingMemory; bootId: string; savedMs: number } | null = null;
  #watch: RoutingLog | null = null;
  #crashes = 0;

  constructor(options: GatewayOptions) {
    this.#options = options;
    this.machine = new Machine(options.time, 1.7e12);
    this.operator = new Operator(options.time);
    this.#inForce = options.first;
    this.start();
  }

  get name(): string {
    return this.#options.name;
  }

  /** The provider that a stream uses now. */
  chosen(stream: string): string | null {
    return this.#life?.routing.explain(stream).find(({ chosen }) => chosen)?.provider ?? null;
  }

  get isUp(): boolean {
    return this.#life !== null;
  }

  get isDrained(): boolean {
    return this.#life?.buffer.isDrained ?? false;
  }

  start(): void {
    if (this.#life) return;
    const { name, time, truth } = this.#options;
    const clock = new ProcessClock(time, this.machine);
    const { policy } = this.#inForce;
    const watch = new RoutingLog({ truth, clock, policy });
    this.#watch = watch;
    this.#life = startAgent({
      ...this.#options,
      machine: this.machine,
      disk: this.disk,
      clock,
      bootId: `boot-${this.machine.boots}`,
      policy,
      copiesOf: (stream) => this.#inForce.policy.streams[stream]?.redundancy ?? 1,
      recall: (routing, bootId) => this.#recall(routing, bootId, clock.monoMs()),
      onPublish: (provider, stream) => {
        watch.publishes(provider, stream);
        truth.check(
          !this.operator.isHeld(provider),
          'I4',
          () => `${name} used ${provider}, which is on hold`,
        );
        truth.check(this.#inForce.isSound, 'I8', () => `${name} works by a policy that is not sound`);
      },
      log: this.#log,
    });
    this.machine.wake(AWAKE_MS);
  }

  /** SIGKILL of the agent, or the power cut that also ends the machine's uptime. */
  crash(): void {
    const life = this.#life;
    if (!life) return;
    this.#crashes += 1;
    // It was written just now, or some time ago, or never.
    if (this.#options.entropy.float() < 0.5) {
      const memory = structuredClone(life.routing.memory());
      const bootId = `boot-${this.machine.boots}`;
      this.#remembered = { memory, bootId, savedMs: this.machine.monoMs };
    }
    life.clock.kill();
    life.buffer.crash(this.#options.entropy.float() < 0.5);
    this.operator.crashed();
    this.#life = null;
  }

  /** Of the policy in force: where a stream's records may be (I4). */
  mayHold(stream: string, region: string): boolean {
    return mayHold(this.#inForce, stream, region);
  }

  /**
   * An operator puts another policy in force, drawn from `draw`: at once, or at a restart that takes
   * `restartMs` (I8).
   */
  propose(draw: number, restartMs: number | null): void {
    const { facts, truth } = this.#options;
    const next = nextProposal(this.#inForce, facts, seededEntropy(draw), restartMs === null);
    const taken = read(next, facts);
    truth.note('policy', this.name, String(taken !== null), String(next.isSound));
    truth.check(
      (taken !== null) === next.isSound,
      'I8',
      () => `${this.name} misjudged ${JSON.stringify(next)}`,
    );
    if (taken) this.#install(taken, restartMs);
  }

  /** As it was in the beginning: no holds, the first policy. */
  calm(): void {
    if (this.#inForce !== this.#options.first) this.#install(this.#options.first, 0);
    this.start();
    // By then the agent has read its holds.
    this.#options.time.after(CALM_MS, () => this.operator.releaseAll(this.#life?.holds));
  }

  hold(provider: string, reason: string, forMs: number | null): void {
    if (this.#life) this.operator.hold(this.#life.holds, provider, reason, forMs);
  }

  /** An operator who finds no agent comes again. */
  release(provider: string, reason: string): void {
    if (this.#life) this.operator.release(this.#life.holds, provider, reason);
    else this.#options.time.after(COME_AGAIN_MS, () => this.release(provider, reason));
  }

  #install(policy: InForce, restartMs: number | null): void {
    const isUp = this.isUp;
    if (restartMs !== null) this.crash();
    this.#inForce = policy;
    if (restartMs === null) this.#life?.routing.dispatch({ kind: 'policy', policy: policy.policy });
    else if (isUp) this.#options.time.after(restartMs, () => this.start());
  }

  #recall(routing: LiveRouting, bootId: string, nowMs: number): void {
    const known = this.#remembered;
    if (!known) return;
    const elapsedMs = known.bootId === bootId ? nowMs - known.savedMs : 0;
    routing.dispatch({ kind: 'restored', memory: known.memory, elapsedMs });
  }

  /** A device publishes to one of the streams. */
  publish(stream: string): void {
    const life = this.#life;
    if (!life) return;
    const { truth, time, name, nextNumber } = this.#options;
    const { buffer } = life;
    const publication = { number: nextNumber(), gateway: name, stream, monoMs: this.machine.monoMs };
    const payload = truth.publish(publication);
    const sentMs = time.nowMs;
    const crashes = this.#crashes;
    let isAnswered = false;
    this.machine.wake(AWAKE_MS);
    life.intake.take(
      { device: 'd', topic: `plant/${stream}`, payload, qos: 1, retransmitted: false, session: null },
      (error) => {
        isAnswered = true;
        truth.note('answer', name, publication.number, error ? 'refused' : 'taken');
        if (!error) return truth.acknowledged(publication.number);
        const isFull = error instanceof StoreError && error.code === 'full' && buffer.isNearlyFull;
        truth.check(isFull || this.#diskIsBad(sentMs), 'I9', () => `${name} refused: ${error.message}`);
      },
    );
    time.after(ANSWER_MS, () => {
      const holds = isAnswered || this.#diskIsBad(sentMs) || this.#crashes !== crashes;
      truth.check(holds, 'I9', () => `${name} did not answer ${publication.number}`);
    });
  }

  /** The file is replaced by an older copy of it, while no agent runs. */
  restore(): void {
    const { backup } = this;
    if (!backup || this.#life) return;
    const { truth, name } = this.#options;
    for (const stream of this.disk.streams) {
      for (const seq of stream.rows.keys()) {
        const known = truth.records.get(`${name}/${stream.epoch}/${stream.name}/${seq}`);
        if (known && !backup.find(stream.epoch, stream.name)?.rows.has(seq)) known.isRestoredAway = true;
      }
      // Given since the copy, and dropped by the cloud that acknowledged them: nobody knows of these any
      // more.
      const lastSeq = backup.find(stream.epoch, stream.name)?.lastSeq ?? 0;
      for (let seq = lastSeq + 1; seq <= stream.lastSeq; seq += 1) {
        const known = truth.records.get(`${name}/${stream.epoch}/${stream.name}/${seq}`);
        if (known && !known.isForwarded) known.isRestoredAway = true;
      }
    }
    const { holds } = this.disk;
    this.disk = backup.copy();
    this.disk.holds = holds;
  }

  #diskIsBad(sinceMs: number): boolean {
    return Math.max(this.disk.stalledUntilMs, this.disk.failsUntilMs) + ANSWER_MS >= sinceMs;
  }

  #logged(line: string): void {
    if (this.#watch?.line(line)) this.switches += 1;
    if (line.includes('"receipts.undelivered"')) this.undelivered += 1;
  }
}
