/**
 * Which of a provider's credentials are used, and when others are tried. A provider has those in use and may
 * have next ones; either may also be renewed in place, as files on the disk. The rules:
 *
 * - Only an accepted publish proves credentials, and only proof changes which are used: make before break.
 * - A refusal has the other slot tried at once. When both are refused they are tried in turn, ever more
 *   rarely.
 * - A known expiry never ends anything. It only has the other slot tried early, and only while the clock is
 *   synchronised: a gateway that boots in 1970 would otherwise wait for ever, and a gateway that boots in
 *   2099 would give up a good credential (I7).
 *
 * Pure: no clock, no I/O (I11). The driver is rotating-publisher.ts.
 */

import type { Validity } from '../provider-type.ts';

/** Named after the options that hold them. */
export const SLOT_NAMES = ['credentials', 'next_credentials'] as const;
export type SlotName = (typeof SLOT_NAMES)[number];

/** What the provider last said of them. */
export type Standing = 'untried' | 'accepted' | 'refused';

export interface Slot {
  readonly standing: Standing;
  /** Null when they do not say. */
  readonly validity: Validity | null;
  /** They lie in files, which may be renewed in place. */
  readonly inFiles: boolean;
  /** The files are others than when they were last tried. */
  readonly renewed: boolean;
}

export interface CredentialState {
  readonly inUse: SlotName;
  readonly slots: { readonly credentials: Slot; readonly next_credentials: Slot | null };
  /** Trials in a row that proved nothing. */
  readonly failedTrials: number;
  /** Monotonic; no trial before. */
  readonly nextTrialMs: number;
}

/** `trial`: it was made with credentials loaded anew, beside those in use. */
export type CredentialEvent =
  | { kind: 'accepted'; slot: SlotName; trial: boolean }
  | { kind: 'refused'; slot: SlotName; trial: boolean }
  /** A trial ended without a word about the credentials: no connection, no answer. */
  | { kind: 'undecided'; slot: SlotName }
  /** What they say of their expiry was read. */
  | { kind: 'read'; slot: SlotName; validity: Validity | null }
  /** Their files were replaced. */
  | { kind: 'renewed'; slot: SlotName };

/** `wallMs` is null while the clock is not synchronised (I7). */
export interface Now {
  readonly monoMs: number;
  readonly wallMs: number | null;
}

const TRIAL_PAUSE_FIRST_MS = 1000;
/** Nothing passes: the wait costs more than a refused login. */
const TRIAL_PAUSE_MAX_REFUSED_MS = 60_000;
/** What is in use works, and each trial holds its publishes up for a moment. */
const TRIAL_PAUSE_MAX_MS = 15 * 60_000;
/** Enough for somebody to mend next credentials that are refused, in a working week with its weekend. */
const AHEAD_MS = 7 * 86_400_000;
/** For those that live for days or hours, where seven days ahead is before they were made. */
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

/**
 * The slot whose credentials the next publish should be tried with, loaded anew; null to go on with those in
 * use.
 */
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

/** `refused` when no credentials are left that were not refused: an operator has to act. */
export function standingOf(state: CredentialState): Standing {
  const { standing } = slotInUse(state);
  const spare = state.slots[otherSlot(state.inUse)];
  return standing === 'refused' && spare !== null && spare.standing !== 'refused' ? 'untried' : standing;
}

/**
 * Whether the time has come to have others ready: the later of 80 % of their life and seven days before its
 * end.
 */
export function endsSoon({ validity }: Slot, wallMs: number | null): boolean {
  if (!validity || wallMs === null) return false;
  const { fromMs, untilMs } = validity;
  return wallMs >= Math.max(fromMs + AHEAD_SHARE * (untilMs - fromMs), untilMs - AHEAD_MS);
}

export function slotInUse({ slots, inUse }: CredentialState): Slot {
  // Only a slot that exists is ever proven, and so comes into use.
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
  // The common case, once per publish: nothing new.
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

/** Renewed files were refused, while what was loaded from the old ones is still good. */
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
