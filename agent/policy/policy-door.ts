/**
 * The one door by which a policy takes effect, at the start and while the agent runs: in one step between two
 * turns of the event loop, for all parts together. No connection of a device ends, and no record is lost,
 * doubled or renumbered.
 *
 * The rules of every stream are on the disk before they hold. So a stream that leaves the policy with records
 * in the buffer drains under its last rules, also after a kill at any moment. It is forgotten by the first
 * start that finds nothing of it in the buffer: its epoch's end is announced then too (I3).
 */
import { type Clock, isoTime } from '../../shared/clock.ts';
import { errorText, type Logger } from '../../shared/log.ts';
import type { Policy } from '../../shared/policy/policy.ts';
import type { Service } from '../../shared/service.ts';
import { within } from '../../shared/within.ts';
import { departed, type RulesByStream, rulesOf, withDraining } from './draining.ts';
import { readRules, writeRules } from './rules-file.ts';

/** A disk that does not answer holds up a change of the policy, and nothing else. */
const WRITE_MS_MAX = 10_000;

export interface PolicyDoorOptions {
  /** The rules file. */
  file: string;
  gateway: string;
  policy: Policy;
  /** Adds the streams that the agent needs itself. */
  complete: (policy: Policy) => Policy;
  /** Whether the router sends receipts. */
  receipts: boolean;
  clock: Clock;
  log: Logger;
}

/** The parts that follow the policy. */
export interface PolicyFollowers {
  /** Streams of which the buffer holds anything; null while it is not open. */
  held(): ReadonlySet<string> | null;
  /** Synchronous. */
  takeEffect(policy: Policy): void;
}

export interface PolicyState {
  /** Version of the policy, chosen by its author. */
  version: number;
  /** ISO 8601: when it took effect, by the gateway's clock. */
  since: string;
  /** The last policy that did not take effect since then; null when there was none. */
  refused: { at: string; problem: string } | null;
}

export class PolicyDoor implements Service {
  readonly #options: PolicyDoorOptions;
  #followers: PolicyFollowers = { held: () => null, takeEffect: () => undefined };
  /** The policy as its author gave it. */
  #given: Policy;
  #draining: RulesByStream;
  #present: Policy;
  #since: string;
  #refused: PolicyState['refused'] = null;
  #turn: Promise<unknown> = Promise.resolve();

  /** Reads the rules of the last run: its streams that the policy does not name drain. */
  static async open(options: PolicyDoorOptions): Promise<PolicyDoor> {
    const { file, gateway, clock, log } = options;
    const late = { state: 'damaged', problem: `not read within ${WRITE_MS_MAX} ms` } as const;
    const read = await within(clock, WRITE_MS_MAX, readRules(file, gateway), () => late);
    if (read.state === 'damaged') {
      const effect = 'records of streams that left the policy wait until it names them again';
      log.error({ event: 'policy.rules_damaged', problem: read.problem, effect });
    }
    return new PolicyDoor(options, read.state === 'ok' ? read.value : new Map());
  }

  private constructor(options: PolicyDoorOptions, known: RulesByStream) {
    const { policy, complete, receipts, clock } = options;
    this.#options = options;
    this.#given = policy;
    const own = complete(policy);
    this.#draining = receipts ? departed(known, own) : withoutReceipts(departed(known, own));
    this.#present = withDraining(own, this.#draining);
    this.#since = isoTime(clock.wallMs());
  }

  /** The policy in force, with the streams that drain. */
  get present(): Policy {
    return this.#present;
  }

  /** Streams that left the policy, and of which the buffer may hold something. */
  get draining(): ReadonlySet<string> {
    return new Set(this.#draining.keys());
  }

  get state(): PolicyState {
    return { version: this.#given.version, since: this.#since, refused: this.#refused };
  }

  /** Call it once, before the start. */
  leadsTo(followers: PolicyFollowers): void {
    this.#followers = followers;
  }

  /** Writes the rules. Start it after the forwarder. A disk that refuses is told and ends nothing (I9). */
  async start(): Promise<void> {
    const { complete, log } = this.#options;
    const held = this.#followers.held();
    if (held !== null) this.#draining = new Map([...this.#draining].filter(([name]) => held.has(name)));
    for (const [stream, { stream: rules }] of this.#draining) {
      const { redundancy, until, data_residency: zone = null } = rules;
      log.warn({ event: 'policy.draining', stream, redundancy, until, zone });
    }
    await this.#write(complete(this.#given), this.#draining).catch((error: unknown) =>
      log.error({ event: 'policy.rules_not_written', error: errorText(error) }),
    );
  }

  async stop(): Promise<void> {
    await this.#turn;
  }

  /**
   * Puts a valid policy in force, one at a time. Resolves with false when it is the running one. Rejects when
   * the disk refuses its rules: the running one then goes on.
   */
  take(next: Policy): Promise<boolean> {
    const taken = this.#turn.then(() => this.#take(next));
    this.#turn = taken.catch(() => undefined);
    return taken;
  }

  /** Tells of a policy that did not take effect. */
  refuse(problem: string): void {
    this.#refused = { at: isoTime(this.#options.clock.wallMs()), problem };
    this.#options.log.error({ event: 'policy.refused', problem });
  }

  async #take(next: Policy): Promise<boolean> {
    this.#refused = null;
    if (JSON.stringify(next) === JSON.stringify(this.#given)) return false;
    const { complete, clock, log } = this.#options;
    const own = complete(next);
    const before = new Map([...this.#draining, ...rulesOf(complete(this.#given))]);
    const draining = departed(before, own);
    await this.#write(own, draining);
    const { version: from } = this.#given;
    // One step: nothing is awaited in it.
    this.#given = next;
    this.#draining = draining;
    this.#present = withDraining(own, draining);
    this.#since = isoTime(clock.wallMs());
    this.#followers.takeEffect(this.#present);
    log.info({ event: 'policy.taken', version: next.version, from, draining: [...draining.keys()] });
    return true;
  }

  #write(policy: Policy, draining: RulesByStream): Promise<void> {
    const { file, gateway, clock } = this.#options;
    const writing = writeRules(file, gateway, new Map([...draining, ...rulesOf(policy)]));
    return within(clock, WRITE_MS_MAX, writing, () => {
      throw new Error(`${file} was not written within ${WRITE_MS_MAX} ms`);
    });
  }
}

/** The configuration has no downlink any more: no receipt would ever let the records go. */
function withoutReceipts(draining: RulesByStream): RulesByStream {
  return new Map(
    [...draining].map(([name, rules]) => [name, { ...rules, stream: { ...rules.stream, until: 'cloud' } }]),
  );
}
