/**
 * One gateway of a world: a machine with a disk, and one agent after the other on it. Intake, forwarder, senders and the
 * routing core are the real ones on a virtual clock; the buffer and the clouds are the world's.
 */
import { createIntake, type Intake } from '../../agent/broker/intake.ts';
import { Forwarder } from '../../agent/forward/forwarder.ts';
import { LiveRouting } from '../../agent/forward/live-routing.ts';
import { Sender } from '../../agent/forward/sender.ts';
import type { RoutingMemory } from '../../agent/routing/core.ts';
import type { StoreLimits } from '../../agent/store/limits.ts';
import { StoreError } from '../../agent/store/types.ts';
import type { Entropy } from '../../shared/entropy.ts';
import { type EnvelopeClock, HEARTBEAT_STREAM } from '../../shared/envelope/envelope.ts';
import { createLogger, type Logger } from '../../shared/log.ts';
import type { Policy, ProviderFacts } from '../../shared/policy.ts';
import { SimBuffer } from './buffer.ts';
import type { Cloud } from './cloud.ts';
import { Disk } from './disk.ts';
import { RoutingLog } from './routing-log.ts';
import { Machine, ProcessClock, type VirtualTime } from './time.ts';
import type { Truth } from './truth.ts';

/** A publish is answered within this, disk faults apart, whatever the clouds do (I9). */
const ANSWER_MS = 1000;
/** Around what happens, periodic timers keep their period for so long. */
const AWAKE_MS = 400;

export interface GatewayOptions {
  name: string;
  policy: Policy;
  limits: StoreLimits;
  facts: ProviderFacts[];
  clouds: ReadonlyMap<string, Cloud>;
  time: VirtualTime;
  entropy: Entropy;
  truth: Truth;
  nextNumber: () => number;
}

interface Life {
  clock: ProcessClock;
  buffer: SimBuffer;
  intake: Intake;
  routing: LiveRouting;
}

export class SimGateway {
  readonly machine: Machine;
  disk: Disk = new Disk();
  /** What the disk was at some time: what a restore puts back. */
  backup: Disk | null = null;
  /** Switches of the stream `telemetry`, in all lives. */
  switches: number = 0;
  readonly #options: GatewayOptions;
  readonly #log: Logger = createLogger(
    { level: 'info', levels: {} },
    { write: (line) => this.#logged(line) },
  );
  #life: Life | null = null;
  /** What the last agent had written down of its routing, and when. */
  #remembered: { memory: RoutingMemory; bootId: string; savedMs: number } | null = null;
  #watch: RoutingLog | null = null;
  #crashes = 0;

  constructor(options: GatewayOptions) {
    this.#options = options;
    this.machine = new Machine(options.time, 1.7e12);
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
    const { name, policy, limits, facts, clouds, time, entropy, truth } = this.#options;
    const clock = new ProcessClock(time, this.machine);
    const bootId = `boot-${this.machine.boots}`;
    const nowMs = (): number => time.nowMs;
    const buffer = new SimBuffer({
      gateway: name,
      disk: this.disk,
      limits,
      clock,
      bootId,
      entropy,
      truth,
      nowMs,
    });
    const watch = new RoutingLog({ truth, clock, policy });
    this.#watch = watch;
    const log = this.#log;
    const routing = new LiveRouting({ policy, providers: facts, clock, log });
    this.#recall(routing, bootId, clock.monoMs());
    const senders = new Map(
      [...clouds].map(([provider, cloud]) => {
        const inner = cloud.publisher(name, clock);
        const publisher: typeof inner = {
          ...inner,
          publish: (message, deadlineMs, signal) => {
            watch.publishes(provider, message.stream);
            if (message.stream !== HEARTBEAT_STREAM) this.machine.wake(AWAKE_MS);
            return inner.publish(message, deadlineMs, signal);
          },
        };
        return [
          provider,
          new Sender({
            provider,
            publisher,
            routing,
            clock,
            log,
            count: () => 0,
            onOutcome: () => undefined,
          }),
        ];
      }),
    );
    const currentClock = (): EnvelopeClock => ({
      bootId,
      offsetMs: Math.round(clock.wallMs() - clock.monoMs()),
      quality: 'unsynchronised',
    });
    const forwarder = new Forwarder({
      gateway: name,
      policy,
      store: buffer,
      routing,
      senders,
      currentClock,
      clock,
      log,
    });
    const streams = Object.entries(policy.streams).map(([stream, { topics }]) => ({
      name: stream,
      filters: topics,
    }));
    this.#life = {
      clock,
      buffer,
      routing,
      intake: createIntake({ store: buffer, streams, clock, log }),
    };
    this.machine.wake(AWAKE_MS);
    void forwarder.start();
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
    this.#life = null;
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
      // Given since the copy, and dropped by the cloud that acknowledged them: nobody knows of these any more.
      const lastSeq = backup.find(stream.epoch, stream.name)?.lastSeq ?? 0;
      for (let seq = lastSeq + 1; seq <= stream.lastSeq; seq += 1) {
        const known = truth.records.get(`${name}/${stream.epoch}/${stream.name}/${seq}`);
        if (known && !known.isForwarded) known.isRestoredAway = true;
      }
    }
    this.disk = backup.copy();
  }

  #diskIsBad(sinceMs: number): boolean {
    return Math.max(this.disk.stalledUntilMs, this.disk.failsUntilMs) + ANSWER_MS >= sinceMs;
  }

  #logged(line: string): void {
    if (this.#watch?.line(line)) this.switches += 1;
  }
}
