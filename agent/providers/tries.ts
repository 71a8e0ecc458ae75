/**
 * What the tries of every publisher have in common: each ends by its deadline, when it is taken back, or when
 * the publisher closes, whatever the SDK does; so many are in flight and no more; and what its end means
 * depends on how far it had come.
 */
import type { Clock, Timer } from '../../shared/clock.ts';
import { InFlightLimit } from './in-flight-limit.ts';
import { NOT_SENT, type Outcome, type Phase, type PublishAttempt, TAKEN_BACK } from './publisher.ts';

/** A reason of its own would be made with a stack trace, once per publish. */
const OVER = 'the try is over';
/** With less than this left a try is not begun: then it is known not to be there. */
const MIN_TRY_MS = 10;

const LATE_TEXT: Readonly<Record<Phase, string>> = {
  queue: 'as many publishes as may be were in flight, and none ended',
  credentials: 'the credentials did not come',
  dns: 'the name of the provider was not resolved',
  connect: 'the connection was not made',
  tls: 'the TLS handshake did not end',
  login: 'the login was not answered',
  request: 'no answer',
  answer: 'the answer did not end',
};

/** Of a try that comes when the publisher is closed. */
export const CLOSED: Outcome = {
  kind: 'retryable',
  cause: 'not-connected',
  detail: 'the publisher is closed',
};
/** Of a try that has left when it closes. */
export const CLOSED_UNDER_WAY = {
  kind: 'unknown',
  cause: 'connection-lost',
  detail: 'the publisher was closed',
} as const;

/** The tries of one publisher. */
export class Tries {
  readonly #clock: Clock;
  readonly #limit: InFlightLimit;
  readonly #underWay = new Set<Try>();
  #isClosed: boolean = false;

  constructor(clock: Clock, inFlightMax: number) {
    this.#clock = clock;
    this.#limit = new InFlightLimit(inFlightMax);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /**
   * Runs `work` once there is a place, and settles with its outcome, or with that of the try when it is over
   * first. `work` must do nothing more once `one.isOver`, and ask `one.leaves()` before anything leaves.
   */
  async run(attempt: PublishAttempt, work: (one: Try) => Promise<Outcome>): Promise<Outcome> {
    if (this.#isClosed) return CLOSED;
    if (attempt.signal.aborted) return NOT_SENT;
    const one = new Try(attempt, this.#clock);
    this.#underWay.add(one);
    try {
      return await Promise.race([this.#inPlace(one, work), one.over]);
    } finally {
      this.#underWay.delete(one);
      one.finish();
    }
  }

  /** Ends every try, and refuses those that come. Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.endAll(CLOSED_UNDER_WAY);
  }

  /** Ends those that have left with `outcome`; the others may be tried again. */
  endAll(outcome: Outcome & { detail: string }): void {
    for (const one of [...this.#underWay]) one.endBy(outcome);
  }

  async #inPlace(one: Try, work: (one: Try) => Promise<Outcome>): Promise<Outcome> {
    if (!(await this.#limit.enter(one.signal))) return one.over;
    try {
      if (one.leftMs < MIN_TRY_MS) return one.late();
      return await Promise.race([work(one), one.over]);
    } finally {
      this.#limit.leave();
    }
  }
}

/** One try: its time, how far it has come, and what its end means. */
export class Try implements PublishAttempt {
  readonly endsAtMs: number;
  /** Resolves when the try ends before its work does: at its deadline, taken back, or with the publisher. */
  readonly over: Promise<Outcome>;
  readonly #clock: Clock;
  readonly #givenMs: number;
  readonly #outer: AbortSignal;
  readonly #ended = new AbortController();
  readonly #resolve: (outcome: Outcome) => void;
  readonly #deadline: Timer;
  readonly #takeBack = (): void => {
    if (!this.#hasLeft) this.#end(NOT_SENT);
    else if (this.#isRecallable) this.#end(TAKEN_BACK);
  };
  #phase: () => Phase = () => 'queue';
  #hasLeft: boolean = false;
  #isRecallable: boolean = true;

  constructor({ endsAtMs, signal }: PublishAttempt, clock: Clock) {
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    this.endsAtMs = endsAtMs;
    this.over = promise;
    this.#clock = clock;
    this.#outer = signal;
    this.#resolve = resolve;
    this.#givenMs = Math.max(0, endsAtMs - clock.monoMs());
    this.#deadline = clock.setTimer(this.#givenMs, () => this.#end(this.late()));
    signal.addEventListener('abort', this.#takeBack, { once: true });
  }

  /** Aborts when the try is over, also because its work is done: for SDKs and sockets. */
  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  get isOver(): boolean {
    return this.#ended.signal.aborted;
  }

  /** Milliseconds until the deadline, at least one: SDKs take 0 for none. */
  get leftMs(): number {
    return Math.max(1, this.endsAtMs - this.#clock.monoMs());
  }

  get phase(): Phase {
    return this.#phase();
  }

  /** A function is asked when the phase matters: where several tries wait for one connection. */
  reach(phase: Phase | (() => Phase)): void {
    this.#phase = typeof phase === 'function' ? phase : () => phase;
  }

  /**
   * From here on bytes may be at the provider. False when the try is over: then nothing may leave.
   * `isRecallable`: whether the protocol can take it back once it has left.
   */
  leaves(isRecallable = true): boolean {
    if (this.isOver) return false;
    this.reach('request');
    this.#hasLeft = true;
    this.#isRecallable = isRecallable;
    return true;
  }

  /** What the deadline means now. */
  late(): Outcome {
    const detail = `${LATE_TEXT[this.phase]} within ${Math.round(this.#givenMs)} ms`;
    if (this.#hasLeft) return { kind: 'unknown', cause: 'deadline', detail };
    const { phase } = this;
    return { kind: 'retryable', cause: phase === 'queue' ? 'unavailable' : 'timeout', phase, detail };
  }

  /** Ends it from outside, with `outcome` if it has left. */
  endBy(outcome: Outcome & { detail: string }): void {
    const { detail } = outcome;
    this.#end(this.#hasLeft ? outcome : { kind: 'retryable', cause: 'not-connected', detail });
  }

  /** Its work is done. */
  finish(): void {
    this.#deadline.cancel();
    this.#outer.removeEventListener('abort', this.#takeBack);
    this.#ended.abort(OVER);
  }

  #end(outcome: Outcome): void {
    this.#resolve(outcome);
    this.finish();
  }
}
