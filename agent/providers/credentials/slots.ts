/**
 * The choice of a provider's credentials, and the time of trials. A provider has present credentials and may
 * have next ones; either may also be renewed in place, as files on disk. The rules:
 *
 * - Only an accepted publish proves credentials, and only proof changes the slot in use: make before break.
 * - A refusal leads to a trial of the other slot at once. When both are refused, they are tried in turn,
 *   with a growing pause.
 * - A known expiry never ends the use of credentials. It only starts the trial of the other slot early,
 *   and only while the clock is synchronised: a gateway that boots in 1970 would otherwise never try,
 *   and a gateway that boots in 2099 would give up good credentials (I7).
 *
 * Pure: no clock, no I/O (I11). The driver is rotating-publisher.ts.
 */

import type { Validity } from '../provider-type.ts';

/** Named after the options that hold the credentials. */
export const SLOT_NAMES = ['credentials', 'next_credentials'] as const;
export type SlotName = (typeof SLOT_NAMES)[number];

/** The provider's last answer to the credentials. */
export type Standing = 'untried' | 'accepted' | 'refused';

export interface Slot {
  readonly standing: Standing;
  /** Null when the credentials have no known validity. */
  readonly validity: Validity | null;
  /** The credentials are in files, which may be renewed in place. */
  readonly inFiles: boolean;
  /** Whether the files have changed since the last trial. */
  readonly renewed: boolean;
}

export interface CredentialState {
  readonly inUse: SlotName;
  readonly slots: { readonly credentials: Slot; readonly next_credentials: Slot | null };
  /** Trials in a row that proved nothing. */
  readonly failedTrials: number;
  /** Monotonic; no trial before this time. */
  readonly nextTrialMs: number;
}

/** `trial`: the publish used credentials loaded anew, beside those in use. */
export type CredentialEvent =
  | { kind: 'accepted'; slot: SlotName; trial: boolean }
  | { kind: 'refused'; slot: SlotName; trial: boolean }
  /** A trial ended without an answer to the credentials: no connection, no answer. */
  | { kind: 'undecided'; slot: SlotName }
  /** The validity of the credentials was read. */
  | { kind: 'read'; slot: SlotName; validity: Validity | null }
  /** The credential files were replaced. */
  | { kind: 'renewed'; slot: SlotName };

/** `wallMs` is null while the clock is not synchronised (I7). */
export interface Now {
  readonly monoMs: number;
  readonly wallMs: number | null;
}

const TRIAL_PAUSE_FIRST_MS = 1000;
/** While no credentials work, waiting costs more than a refused login. */
const TRIAL_PAUSE_MAX_REFUSED_MS = 60_000;
/** While the credentials in use work, each trial delays their publishes for a moment. */
const TRIAL_PAUSE_MAX_MS = 15 * 60_000;
/** Time for an operator to correct refused next credentials: a working week with its weekend. */
const AHEAD_MS = 7 * 86_400_000;
/** For credentials with a lifetime of days or hours, for which seven days ahead is too early. */
const AHEAD_SHARE = 0.8;

export function initialState(inFiles: { credentials: boolean; next: boolean | null }): CredentialState {
  const slot = (files: boolean): Slot => ({
    standing: 'untried',
    validity: null,
    inFiles: files,
    renewed: false,
  });
  return {
    inUse: 'credentials',
    slots: {
      credentials: slot(inFiles.credentials),
      next_credentials: inFiles.next === null ? null : slot(inFiles.next),
    },
    failedTrials: 0,
    nextTrialMs: Number.NEGATIVE_INFINITY,
  };
}

/** The next state; the same object when nothing changed. */
export function transition(state: CredentialState, event: CredentialEvent, monoMs: number): CredentialState {
  const slot = state.slots[event.slot];
  if (!slot) return state;
  switch (event.kind) {
    case 'accepted':
      return accepted(state, event, slot);
    case 'refused':
      return refused(state, event, slot, monoMs);
    case 'undecided':
      return paused(state, monoMs);
    case 'read':
      return withSlot(state, event.slot, { ...slot, validity: event.validity });
    case 'renewed': {
      const standing = slot.standing === 'refused' ? 'untried' : slot.standing;
      return unpaused(withSlot(state, event.slot, { ...slot, standing, renewed: true }));
    }
  }
}

/** The slot for the next publish's trial, to be loaded anew; null to go on with the credentials in use. */
export function trialOf(state: CredentialState, now: Now): SlotName | null {
  if (now.monoMs < state.nextTrialMs) return null;
  const used = slotInUse(state);
  if (used.renewed) return state.inUse;
  const other = otherSlot(state.inUse);
  const spare = state.slots[other];
  if (used.standing === 'refused') {
    if (spare && (state.failedTrials % 2 === 0 || !used.inFiles)) return other;
    return used.inFiles ? state.inUse : null;
  }
  return spare && endsSoon(used, now.wallMs) && outlives(spare, used) ? other : null;
}

/** `refused` when all credentials are refused: an operator has to act. */
export function standingOf(state: CredentialState): Standing {
  const { standing } = slotInUse(state);
  const spare = state.slots[otherSlot(state.inUse)];
  return standing === 'refused' && spare !== null && spare.standing !== 'refused' ? 'untried' : standing;
}

/**
 * Whether other credentials should be ready now: from the later of 80 % of the lifetime and seven days before
 * the expiry.
 */
export function endsSoon({ validity }: Slot, wallMs: number | null): boolean {
  if (!validity || wallMs === null) return false;
  const { fromMs, untilMs } = validity;
  return wallMs >= Math.max(fromMs + AHEAD_SHARE * (untilMs - fromMs), untilMs - AHEAD_MS);
}

export function slotInUse({ slots, inUse }: CredentialState): Slot {
  // Only an existing slot can be proved and come into use.
  return slots[inUse] ?? slots.credentials;
}

function otherSlot(name: SlotName): SlotName {
  return name === 'credentials' ? 'next_credentials' : 'credentials';
}

function outlives(spare: Slot, used: Slot): boolean {
  return !spare.validity || !used.validity || spare.validity.untilMs > used.validity.untilMs;
}

function accepted(
  state: CredentialState,
  { slot: name, trial }: { slot: SlotName; trial: boolean },
  slot: Slot,
): CredentialState {
  // The common case, at every publish: no change.
  if (!trial && slot.standing === 'accepted') return state;
  const proven = withSlot(state, name, {
    ...slot,
    standing: 'accepted',
    renewed: trial ? false : slot.renewed,
  });
  return trial ? unpaused({ ...proven, inUse: name }) : proven;
}

function refused(
  state: CredentialState,
  { slot: name, trial }: { slot: SlotName; trial: boolean },
  slot: Slot,
  monoMs: number,
): CredentialState {
  if (!trial && slot.standing === 'refused') return state;
  const next = withSlot(state, name, {
    ...slot,
    standing: trial && isKeptDespite(state, name, slot) ? slot.standing : 'refused',
    renewed: trial ? false : slot.renewed,
  });
  if (trial) return paused(next, monoMs);
  return name === state.inUse ? unpaused(next) : next;
}

/** Renewed files were refused while the credentials loaded from the old files still work. */
function isKeptDespite(state: CredentialState, name: SlotName, slot: Slot): boolean {
  return name === state.inUse && slot.standing === 'accepted';
}

function paused(state: CredentialState, monoMs: number): CredentialState {
  const lastMs = slotInUse(state).standing === 'refused' ? TRIAL_PAUSE_MAX_REFUSED_MS : TRIAL_PAUSE_MAX_MS;
  const pauseMs = Math.min(lastMs, TRIAL_PAUSE_FIRST_MS * 2 ** state.failedTrials);
  return { ...state, failedTrials: state.failedTrials + 1, nextTrialMs: monoMs + pauseMs };
}

function unpaused(state: CredentialState): CredentialState {
  return { ...state, failedTrials: 0, nextTrialMs: Number.NEGATIVE_INFINITY };
}

function withSlot(state: CredentialState, name: SlotName, slot: Slot): CredentialState {
  return { ...state, slots: { ...state.slots, [name]: slot } };
}
