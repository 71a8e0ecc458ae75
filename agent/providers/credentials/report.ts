/**
 * The log lines of a provider's credentials: one event, `cloud.credentials`, for each change. Slots are
 * named; credentials are never logged.
 */
import { isoTime } from '../../../shared/clock.ts';
import type { Logger } from '../../../shared/log.ts';
import type { Outcome } from '../publisher.ts';
import { type CredentialEvent, type CredentialState, endsSoon, slotInUse, standingOf } from './slots.ts';

export class CredentialReport {
  readonly #provider: string;
  readonly #log: Logger;
  /** The expiry of the last warning. */
  #warnedOfMs: number | null = null;

  constructor(provider: string, log: Logger) {
    this.#provider = provider;
    this.#log = log;
  }

  /** `outcome`: the provider's answer, when the event is one. */
  changed(
    before: CredentialState,
    after: CredentialState,
    event: CredentialEvent,
    outcome: Outcome | null,
  ): void {
    if (before === after || event.kind === 'read') return;
    const { slot } = event;
    const why = outcome && 'detail' in outcome ? { detail: outcome.detail } : {};
    if (event.kind === 'renewed') {
      this.#line('info', slot, 'renewed');
    } else if (event.kind === 'accepted' && (event.trial || before.slots[slot]?.standing === 'refused')) {
      this.#line('info', slot, 'in-use');
    } else if (event.kind === 'refused' && isNews(before, after, event)) {
      this.#line('warn', slot, 'refused', why);
    }
    if (standingOf(before) !== 'refused' && standingOf(after) === 'refused') {
      this.#line('error', slot, 'all-refused', why);
    }
  }

  /** Warns once of the approaching expiry of the credentials in use. */
  expiry(state: CredentialState, wallMs: number | null): void {
    const slot = slotInUse(state);
    if (!slot.validity || !endsSoon(slot, wallMs) || this.#warnedOfMs === slot.validity.untilMs) return;
    this.#warnedOfMs = slot.validity.untilMs;
    this.#line('warn', state.inUse, 'expires-soon', { expires: isoTime(slot.validity.untilMs) });
  }

  #line(level: 'info' | 'warn' | 'error', slot: string, state: string, more: object = {}): void {
    this.#log[level]({ event: 'cloud.credentials', provider: this.#provider, slot, state, ...more });
  }
}

/** A repeated refusal is logged once: invalid credentials are retried for ever (I10). */
function isNews(
  before: CredentialState,
  after: CredentialState,
  { slot }: { slot: 'credentials' | 'next_credentials' },
): boolean {
  const [was, is] = [before.slots[slot], after.slots[slot]];
  return was?.standing !== is?.standing || was?.renewed !== is?.renewed;
}
