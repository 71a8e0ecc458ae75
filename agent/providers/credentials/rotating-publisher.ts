/**
 * A provider's publisher that changes its credentials without a restart and without a gap; slots.ts decides
 * when.
 *
 * Credentials are tried with a publisher of their own, loaded anew, by a publish that was due anyway: the
 * acceptance that proves them also delivers. While that one publish is under way no other is, because a hub
 * that knows the gateway by one name cuts its first connection when a second comes, and the two would throw
 * each other out. Trials are rare, and each is bounded by its publish's deadline; what waits for one keeps
 * its own deadline (I9).
 */
import type { Clock, Timer } from '../../../shared/clock.ts';
import { errorText, type Logger } from '../../../shared/log.ts';
import type { ProviderConfig } from '../../config/config.ts';
import type { TwinLink } from '../azure/twin-link.ts';
import { openPublisher, supervisePublisher } from '../open.ts';
import type { Cut, OutboundEnvelope, Outcome, ProviderType, Publisher } from '../publisher.ts';
import { configWith, credentialFiles, fingerprint, validityOf } from './credential-files.ts';
import { CredentialReport } from './report.ts';
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
import { Traffic } from './traffic.ts';

/** How often files are looked at, and expiries. */
const LOOK_EVERY_MS = 30_000;
/** With less than this left a try is not begun. */
const MIN_TRY_MS = 10;

const CHANGING: Outcome = {
  kind: 'retryable',
  cause: 'not-connected',
  detail: 'other credentials are being tried',
};

export interface CredentialDeps {
  /** See PublisherDeps. */
  onCut?: (cut: Cut) => void;
  /** See PublisherDeps. */
  twin?: TwinLink | undefined;
  clock: Clock;
  log: Logger;
  /** Wall-clock milliseconds; null while the clock is not synchronised (I7). */
  trustedWallMs: () => number | null;
  /** How often the files are looked at, in milliseconds. */
  lookEveryMs?: number;
}

/** What `headgate status` and the metrics say of a provider's credentials. Never the credentials. */
export interface CredentialsNow {
  inUse: SlotName;
  standing: 'untried' | 'accepted' | 'refused';
  /** Wall-clock milliseconds; null where not known. */
  expiresMs: number | null;
  slots: Array<{ slot: SlotName; refused: boolean; expiresMs: number | null }>;
}

interface InUse {
  readonly slot: SlotName;
  readonly publisher: Publisher;
}

interface Source {
  readonly config: ProviderConfig;
  readonly files: readonly string[];
  fingerprint: string;
}

export class CredentialPublisher implements Publisher {
  readonly type: ProviderType;
  readonly #deps: CredentialDeps;
  readonly #sources = new Map<SlotName, Source>();
  readonly #report: CredentialReport;
  readonly #traffic: Traffic;
  #state: CredentialState;
  #inUse: InUse;
  /** Of the trial under way. */
  #trialled: Publisher | null = null;
  #timer: Timer;
  #looking: Promise<void>;
  #wasSynchronised = false;
  #closed: boolean = false;

  /** Opens the present credentials in the background. */
  constructor(config: ProviderConfig, deps: CredentialDeps) {
    this.type = config.type;
    this.#deps = deps;
    this.#report = new CredentialReport(config.name, deps.log);
    this.#traffic = new Traffic(deps.clock);
    for (const slot of SLOT_NAMES) {
      const own = configWith(config, slot);
      if (own) this.#sources.set(slot, { config: own, files: credentialFiles(own), fingerprint: '' });
    }
    const next = this.#sources.get('next_credentials');
    this.#state = initialState({
      credentials: credentialFiles(config).length > 0,
      next: next ? next.files.length > 0 : null,
    });
    this.#inUse = { slot: 'credentials', publisher: supervisePublisher(config, deps) };
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

  /** A trial is not taken back: it proves the credentials. */
  async publish(message: OutboundEnvelope, deadlineMs: number, signal?: AbortSignal): Promise<Outcome> {
    const endsAtMs = this.#deps.clock.monoMs() + deadlineMs;
    const early = await this.#tryOther(message, endsAtMs);
    if (early && isAnswer(early)) return early;
    const shown = await this.#publishInUse(message, endsAtMs, signal);
    if (!isRefusal(shown.outcome)) return shown.outcome;
    await this.#lookNow(endsAtMs);
    const other = await this.#tryOther(message, endsAtMs);
    if (other) return other;
    // Somebody else's publish has proved others meanwhile.
    if (this.#inUse !== shown.by) return (await this.#publishInUse(message, endsAtMs, signal)).outcome;
    return shown.outcome;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer.cancel();
    await Promise.all([this.#inUse.publisher.close(), this.#trialled?.close()]);
  }

  async #publishInUse(
    message: OutboundEnvelope,
    endsAtMs: number,
    signal: AbortSignal | undefined,
  ): Promise<{ outcome: Outcome; by: InUse }> {
    const entered = await this.#traffic.enter(this.#left(endsAtMs) - MIN_TRY_MS);
    const by = this.#inUse;
    if (!entered) return { outcome: CHANGING, by };
    try {
      const outcome = await by.publisher.publish(message, this.#left(endsAtMs), signal);
      if (by === this.#inUse) {
        if (outcome.kind === 'accepted') this.#dispatch({ kind: 'accepted', slot: by.slot, trial: false });
        if (isRefusal(outcome)) this.#dispatch({ kind: 'refused', slot: by.slot, trial: false }, outcome);
      }
      return { outcome, by };
    } finally {
      this.#traffic.leave();
    }
  }

  /**
   * Makes this publish the trial of other credentials, when one is due; null when none is, or there is no
   * time for it.
   */
  async #tryOther(message: OutboundEnvelope, endsAtMs: number): Promise<Outcome | null> {
    const due = (): SlotName | null => (this.#closed ? null : trialOf(this.#state, this.#now()));
    if (due() === null) return null;
    return this.#traffic.alone(this.#left(endsAtMs) - MIN_TRY_MS, async () => {
      // Another trial may have been over in the meantime.
      const slot = due();
      return slot === null ? null : this.#trial(slot, message, endsAtMs);
    });
  }

  async #trial(slot: SlotName, message: OutboundEnvelope, endsAtMs: number): Promise<Outcome> {
    const source = this.#sources.get(slot);
    const loaded = source?.fingerprint;
    const outcome = await this.#show(slot, message, endsAtMs);
    // Renewed again meanwhile, as when a key follows its certificate: what was tried is not what is there
    // now.
    if (source && source.fingerprint !== loaded) this.#dispatch({ kind: 'renewed', slot });
    return outcome;
  }

  /**
   * Publishes with the credentials of `slot`, loaded anew, and brings them into use when that proves them.
   */
  async #show(slot: SlotName, message: OutboundEnvelope, endsAtMs: number): Promise<Outcome> {
    const opened = await this.#open(slot, endsAtMs);
    if ('outcome' in opened) return this.#unproven(slot, opened.outcome);
    const { publisher } = opened;
    this.#trialled = publisher;
    const outcome = await publisher.publish(message, this.#left(endsAtMs));
    this.#trialled = null;
    if (outcome.kind !== 'accepted' || this.#closed) {
      void publisher.close();
      return this.#unproven(slot, outcome);
    }
    const old = this.#inUse.publisher;
    this.#inUse = { slot, publisher };
    this.#dispatch({ kind: 'accepted', slot, trial: true });
    // Nothing is in flight on it.
    void old.close();
    return outcome;
  }

  #unproven(slot: SlotName, outcome: Outcome): Outcome {
    const refusal = { kind: 'refused', slot, trial: true } as const;
    this.#dispatch(isRefusal(outcome) ? refusal : { kind: 'undecided', slot }, outcome);
    return outcome;
  }

  async #open(slot: SlotName, endsAtMs: number): Promise<{ publisher: Publisher } | { outcome: Outcome }> {
    const source = this.#sources.get(slot);
    if (!source) return { outcome: unusable('not configured') };
    const opening = openPublisher(source.config, this.#deps).then(
      (publisher) => ({ publisher }),
      (error: unknown) => ({ outcome: unusable(errorText(error)) }),
    );
    const done = new AbortController();
    const late = this.#deps.clock.sleep(this.#left(endsAtMs), done.signal).then(() => null);
    const first = await Promise.race([opening, late]);
    done.abort();
    if (first) return first;
    void opening.then((opened) => ('publisher' in opened ? opened.publisher.close() : undefined));
    return { outcome: CHANGING };
  }

  /** After a refusal: the files may have been renewed a moment ago. */
  async #lookNow(endsAtMs: number): Promise<void> {
    const done = new AbortController();
    this.#looking = this.#looking.then(() => this.#look(false));
    await Promise.race([this.#looking, this.#deps.clock.sleep(this.#left(endsAtMs), done.signal)]);
    done.abort();
  }

  /**
   * Looks whether files were renewed, and what they say of their expiry. `first`: what is there is no
   * renewal.
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
      const validity = await validityOf(source.config, wallMs ?? clock.wallMs());
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

  #left(endsAtMs: number): number {
    return Math.max(1, endsAtMs - this.#deps.clock.monoMs());
  }
}

/**
 * Not one after which another try, with the credentials in use, is due: it may be there, or would not pass
 * with them either.
 */
function isAnswer(outcome: Outcome): boolean {
  return outcome.kind !== 'retryable' && !(outcome.kind === 'rejected' && outcome.scope === 'provider');
}

/** The provider does not take these credentials, or they cannot be loaded. */
function isRefusal(outcome: Outcome): boolean {
  return outcome.kind === 'rejected' && outcome.cause === 'unauthorized';
}

function unusable(detail: string): Outcome {
  return { kind: 'rejected', scope: 'provider', cause: 'unauthorized', detail };
}
