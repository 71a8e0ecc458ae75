/**
 * The common part of all publishers' tries. Each try ends at its deadline, when it is taken back, or when the
 * publisher closes, whatever the SDK does. The number of tries in flight is bounded. The outcome of an ended
 * try depends on its phase.
 */
import type { Clock, Timer } from '../../shared/clock.ts';
import { InFlightLimit } from './in-flight-limit.ts';
import { NOT_SENT, type Outcome, type Phase, type PublishAttempt, TAKEN_BACK } from './publisher.ts';

/** A constant text: an Error would be created with a stack trace, once for each publish. */
const OVER = 'the try is over';
/** A try with less time left is not begun, so that its outcome is certain. */
const MIN_TRY_MS = 10;

const LATE_TEXT: Readonly<Record<Phase, string>> = {
  queue: 'the number of publishes in flight was at its limit, and none ended',
  credentials: 'the credentials were not received',
  dns: 'the name of the provider was not resolved',
  connect: 'the connection was not opened',
  tls: 'the TLS handshake did not end',
  login: 'the login was not answered',
  request: 'no answer',
  answer: 'the answer did not end',
};

/** Outcome of a try after the publisher was closed. */
export const CLOSED: Outcome = {
  kind: 'retryable',
  cause: 'not-connected',
  detail: 'the publisher is closed',
};
/** Outcome of a sent try when the publisher closes. */
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
   * Runs `work` when there is a place, and settles with its outcome, or with that of the try when it ends
   * first. `work` must stop once `one.isOver`, and call `one.leaves()` before it sends anything.
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

  /** Ends every try, and refuses new ones. Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.endAll(CLOSED_UNDER_WAY);
  }

  /** Ends the sent tries with `outcome`; the others may be tried again. */
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

/** One try: its deadline, its phase, and the outcome of its end. */
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

  /** Aborts when the try is over, also when its work is done: for SDKs and sockets. */
  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  get isOver(): boolean {
    return this.#ended.signal.aborted;
  }

  /** Milliseconds until the deadline, at least one: SDKs take 0 for no deadline. */
  get leftMs(): number {
    return Math.max(1, this.endsAtMs - this.#clock.monoMs());
  }

  get phase(): Phase {
    return this.#phase();
  }

  /** A function is called when the phase is needed: for several tries that wait for one connection. */
  reach(phase: Phase | (() => Phase)): void {
    this.#phase = typeof phase === 'function' ? phase : () => phase;
  }

  /**
   * Call before sending: afterwards, bytes may be at the provider. False when the try is over; then nothing
   * may be sent. `isRecallable`: whether the protocol can cancel a sent try.
   */
  leaves(isRecallable = true): boolean {
    if (this.isOver) return false;
    this.reach('request');
    this.#hasLeft = true;
    this.#isRecallable = isRecallable;
    return true;
  }

  /** The outcome of the deadline in the present phase. */
  late(): Outcome {
    const detail = `${LATE_TEXT[this.phase]} within ${Math.round(this.#givenMs)} ms`;
    if (this.#hasLeft) return { kind: 'unknown', cause: 'deadline', detail };
    const { phase } = this;
    return { kind: 'retryable', cause: phase === 'queue' ? 'unavailable' : 'timeout', phase, detail };
  }

  /** Ends the try from outside: with `outcome` if it was sent. */
  endBy(outcome: Outcome & { detail: string }): void {
    const { detail } = outcome;
    this.#end(this.#hasLeft ? outcome : { kind: 'retryable', cause: 'not-connected', detail });
  }

  /** The work of the try is done. */
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
