/**
 * A publisher that changes a provider's credentials without a restart and without a gap; slots.ts decides
 * when.
 *
 * Credentials are tried with a publisher of their own, loaded anew, by a publish that was due anyway: the
 * acceptance that proves them also delivers. No other publish is under way during the trial, because a hub
 * that identifies the gateway by one name cuts its first connection when a second one comes, and the two
 * would disconnect each other. Trials are rare, and each is bounded by its publish's deadline. Publishes that
 * wait for a trial keep their own deadlines (I9).
 */
import type { Timer } from '../../../shared/clock.ts';
import { errorText } from '../../../shared/log.ts';
import { within } from '../../../shared/within.ts';
import { openPublisher, supervisePublisher } from '../open.ts';
import {
  type ProviderDeps,
  type ProviderEntry,
  type ProviderType,
  type ProviderTypes,
  typeOf,
} from '../provider-type.ts';
import {
  NOT_SENT,
  type OutboundEnvelope,
  type Outcome,
  type PublishAttempt,
  type Publisher,
} from '../publisher.ts';
import { PROVIDER_TYPES } from '../types.ts';
import { fingerprint } from './credential-files.ts';
import { CredentialReport } from './report.ts';
import { SharedExclusiveLock } from './shared-exclusive-lock.ts';
import {
  type CredentialEvent,
  type CredentialState,
  initialState,
  SLOT_NAMES,
  type SlotName,
  slotInUse,
  standingOf,
  transition,
  trialOf,
} from './slots.ts';

/** Interval between checks of the files and their expiry. */
const LOOK_EVERY_MS = 30_000;
/** A trial has no abort signal of its own. */
const NEVER = new AbortController().signal;
/** A try with less time left than this is not begun. */
const MIN_TRY_MS = 10;

const CHANGING: Outcome = {
  kind: 'retryable',
  cause: 'not-connected',
  detail: 'other credentials are being tried',
};

export interface CredentialDeps extends ProviderDeps {
  /** Wall-clock milliseconds; null while the clock is not synchronised (I7). */
  trustedWallMs: () => number | null;
  /** Interval between checks of the files, in milliseconds. */
  lookEveryMs?: number;
  /** The table of types. Default: those of this program. */
  types?: ProviderTypes;
}

/** The state of a provider's credentials for `headgate status` and the metrics, without the credentials. */
export interface CredentialsNow {
  inUse: SlotName;
  standing: 'untried' | 'accepted' | 'refused';
  /** Wall-clock milliseconds; null where unknown. */
  expiresMs: number | null;
  slots: Array<{ slot: SlotName; refused: boolean; expiresMs: number | null }>;
}

interface InUse {
  readonly slot: SlotName;
  readonly publisher: Publisher;
}

interface Source {
  readonly config: ProviderEntry;
  readonly files: readonly string[];
  fingerprint: string;
}

export class CredentialPublisher implements Publisher {
  readonly type: string;
  readonly #deps: CredentialDeps;
  readonly #providerType: ProviderType;
  readonly #sources = new Map<SlotName, Source>();
  readonly #report: CredentialReport;
  readonly #lock: SharedExclusiveLock;
  #state: CredentialState;
  #inUse: InUse;
  /** The publisher of the trial under way. */
  #trialled: Publisher | null = null;
  #timer: Timer;
  #looking: Promise<void>;
  #wasSynchronised = false;
  #closed: boolean = false;

  /** Opens the present credentials in the background. */
  constructor(config: ProviderEntry, deps: CredentialDeps) {
    this.type = config.type;
    this.#deps = deps;
    this.#providerType = typeOf(deps.types ?? PROVIDER_TYPES, config);
    this.#report = new CredentialReport(config.name, deps.log);
    this.#lock = new SharedExclusiveLock(deps.clock);
    const { credentials } = this.#providerType;
    const source = (own: ProviderEntry): Source => ({
      config: own,
      files: credentials.files(own),
      fingerprint: '',
    });
    const present = source(config);
    this.#sources.set('credentials', present);
    const nextConfig = credentials.next(config);
    const next = nextConfig && source(nextConfig);
    if (next) this.#sources.set('next_credentials', next);
    this.#state = initialState({
      credentials: present.files.length > 0,
      next: next ? next.files.length > 0 : null,
    });
    this.#inUse = { slot: 'credentials', publisher: supervisePublisher(this.#providerType, config, deps) };
    this.#looking = this.#look(true);
    this.#timer = deps.clock.every(deps.lookEveryMs ?? LOOK_EVERY_MS, () => {
      this.#looking = this.#looking.then(() => this.#look(false));
    });
  }

  get maxEnvelopeBytes(): number {
    return this.#inUse.publisher.maxEnvelopeBytes;
  }

  credentials(): CredentialsNow {
    const { slots, inUse } = this.#state;
    return {
      inUse,
      standing: standingOf(this.#state),
      expiresMs: slotInUse(this.#state).validity?.untilMs ?? null,
      slots: SLOT_NAMES.flatMap((slot) => {
        const own = slots[slot];
        if (!own) return [];
        return [{ slot, refused: own.standing === 'refused', expiresMs: own.validity?.untilMs ?? null }];
      }),
    };
  }

  /** A trial that has begun is not taken back: it proves the credentials. */
  async publish(message: OutboundEnvelope, attempt: PublishAttempt): Promise<Outcome> {
    if (attempt.signal.aborted) return NOT_SENT;
    const early = await this.#tryOther(message, attempt);
    if (early && isAnswer(early)) return early;
    const shown = await this.#publishInUse(message, attempt);
    if (!isRefusal(shown.outcome)) return shown.outcome;
    await this.#lookNow(attempt);
    const other = await this.#tryOther(message, attempt);
    if (other) return other;
    // Another publish has proved other credentials meanwhile.
    if (this.#inUse !== shown.by) return (await this.#publishInUse(message, attempt)).outcome;
    return shown.outcome;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer.cancel();
    await Promise.all([this.#inUse.publisher.close(), this.#trialled?.close()]);
  }

  async #publishInUse(
    message: OutboundEnvelope,
    attempt: PublishAttempt,
  ): Promise<{ outcome: Outcome; by: InUse }> {
    const entered = await this.#lock.enter(this.#left(attempt) - MIN_TRY_MS);
    const by = this.#inUse;
    if (!entered) return { outcome: CHANGING, by };
    try {
      const outcome = await by.publisher.publish(message, attempt);
      if (by === this.#inUse) {
        if (outcome.kind === 'accepted') this.#dispatch({ kind: 'accepted', slot: by.slot, trial: false });
        if (isRefusal(outcome)) this.#dispatch({ kind: 'refused', slot: by.slot, trial: false }, outcome);
      }
      return { outcome, by };
    } finally {
      this.#lock.leave();
    }
  }

  /**
   * Makes this publish the trial of other credentials when one is due; null when none is due or there is too
   * little time.
   */
  async #tryOther(message: OutboundEnvelope, attempt: PublishAttempt): Promise<Outcome | null> {
    const due = (): SlotName | null => (this.#closed ? null : trialOf(this.#state, this.#now()));
    if (due() === null) return null;
    return this.#lock.exclusive(this.#left(attempt) - MIN_TRY_MS, async () => {
      // Another trial may have ended in the meantime.
      const slot = due();
      return slot === null ? null : this.#trial(slot, message, attempt);
    });
  }

  async #trial(slot: SlotName, message: OutboundEnvelope, attempt: PublishAttempt): Promise<Outcome> {
    const source = this.#sources.get(slot);
    const loaded = source?.fingerprint;
    const outcome = await this.#show(slot, message, attempt);
    // The files were renewed again during the trial, for example a key after its certificate: the tried
    // credentials are outdated.
    if (source && source.fingerprint !== loaded) this.#dispatch({ kind: 'renewed', slot });
    return outcome;
  }

  /**
   * Publishes with the credentials of `slot`, loaded anew, and brings them into use when the outcome proves
   * them.
   */
  async #show(slot: SlotName, message: OutboundEnvelope, attempt: PublishAttempt): Promise<Outcome> {
    const opened = await this.#open(slot, attempt);
    if ('outcome' in opened) return this.#unproven(slot, opened.outcome);
    const { publisher } = opened;
    this.#trialled = publisher;
    const outcome = await publisher.publish(message, { endsAtMs: attempt.endsAtMs, signal: NEVER });
    this.#trialled = null;
    if (outcome.kind !== 'accepted' || this.#closed) {
      void publisher.close();
      return this.#unproven(slot, outcome);
    }
    const old = this.#inUse.publisher;
    this.#inUse = { slot, publisher };
    this.#dispatch({ kind: 'accepted', slot, trial: true });
    // No publish is in flight on the old publisher.
    void old.close();
    return outcome;
  }

  #unproven(slot: SlotName, outcome: Outcome): Outcome {
    const refusal = { kind: 'refused', slot, trial: true } as const;
    this.#dispatch(isRefusal(outcome) ? refusal : { kind: 'undecided', slot }, outcome);
    return outcome;
  }

  async #open(
    slot: SlotName,
    attempt: PublishAttempt,
  ): Promise<{ publisher: Publisher } | { outcome: Outcome }> {
    const source = this.#sources.get(slot);
    if (!source) return { outcome: unusable('not configured') };
    const opening = openPublisher(this.#providerType, source.config, this.#deps).then(
      (publisher) => ({ publisher }),
      (error: unknown) => ({ outcome: unusable(errorText(error)) }),
    );
    const first = await within(this.#deps.clock, this.#left(attempt), opening, () => null);
    if (first) return first;
    void opening.then((opened) => ('publisher' in opened ? opened.publisher.close() : undefined));
    return { outcome: CHANGING };
  }

  /** After a refusal: the files may have been renewed a moment ago. */
  async #lookNow(attempt: PublishAttempt): Promise<void> {
    this.#looking = this.#looking.then(() => this.#look(false));
    await within(this.#deps.clock, this.#left(attempt), this.#looking, () => undefined);
  }

  /**
   * Checks whether files were renewed, and reads their expiry. `first`: the files found are not a renewal.
   */
  async #look(first: boolean): Promise<void> {
    if (this.#closed) return;
    const { trustedWallMs, clock } = this.#deps;
    const wallMs = trustedWallMs();
    const nowTrusted = wallMs !== null && !this.#wasSynchronised;
    this.#wasSynchronised = wallMs !== null;
    for (const [slot, source] of this.#sources) {
      const found = await fingerprint(source.files);
      const renewed = found !== source.fingerprint;
      source.fingerprint = found;
      if (!first && renewed) this.#dispatch({ kind: 'renewed', slot });
      if (!first && !renewed && !nowTrusted) continue;
      const validity = await this.#providerType.credentials.validity(source.config, wallMs ?? clock.wallMs());
      this.#dispatch({ kind: 'read', slot, validity });
    }
    this.#report.expiry(this.#state, wallMs);
  }

  #dispatch(event: CredentialEvent, outcome: Outcome | null = null): void {
    const before = this.#state;
    this.#state = transition(before, event, this.#deps.clock.monoMs());
    this.#report.changed(before, this.#state, event, outcome);
  }

  #now(): { monoMs: number; wallMs: number | null } {
    return { monoMs: this.#deps.clock.monoMs(), wallMs: this.#deps.trustedWallMs() };
  }

  #left({ endsAtMs }: PublishAttempt): number {
    return Math.max(1, endsAtMs - this.#deps.clock.monoMs());
  }
}

/**
 * False for an outcome after which another try with the credentials in use is due. An envelope that may have
 * arrived, or that those credentials would not get accepted either, is not tried again.
 */
function isAnswer(outcome: Outcome): boolean {
  return outcome.kind !== 'retryable' && !(outcome.kind === 'rejected' && outcome.scope === 'provider');
}

/** The provider refuses these credentials, or they cannot be loaded. */
function isRefusal(outcome: Outcome): boolean {
  return outcome.kind === 'rejected' && outcome.cause === 'unauthorized';
}

function unusable(detail: string): Outcome {
  return { kind: 'rejected', scope: 'provider', cause: 'unauthorized', detail };
}
