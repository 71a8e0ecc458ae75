/** The rules of credential slots, as pure steps (I7, I9, I11). */
import t from 'tap';
import {
  type CredentialEvent,
  type CredentialState,
  initialState,
  type SlotName,
  standingOf,
  transition,
  trialOf,
} from '../../../../agent/providers/credentials/slots.ts';

const DAY_MS = 86_400_000;
const A = 'credentials';
const B = 'next_credentials';

const two = initialState({ credentials: false, next: false });
const one = initialState({ credentials: false, next: null });
const oneInFiles = initialState({ credentials: true, next: null });

/** The state after events, each at its monotonic time. */
function after(state: CredentialState, ...steps: Array<[number, CredentialEvent]>): CredentialState {
  return steps.reduce((now, [monoMs, event]) => transition(now, event, monoMs), state);
}

const accepted = (slot: SlotName, trial = false): CredentialEvent => ({ kind: 'accepted', slot, trial });
const refused = (slot: SlotName, trial = false): CredentialEvent => ({ kind: 'refused', slot, trial });
const good = (slot: SlotName, fromDay: number, untilDay: number): CredentialEvent => ({
  kind: 'read',
  slot,
  validity: { fromMs: fromDay * DAY_MS, untilMs: untilDay * DAY_MS },
});
const at = (monoMs: number, wallDay: number | null = null) => ({
  monoMs,
  wallMs: wallDay === null ? null : wallDay * DAY_MS,
});

t.test('what is accepted stays, and costs no new state', (t) => {
  const state = after(two, [0, accepted(A)]);
  t.equal(transition(state, accepted(A), 1), state);
  t.equal(trialOf(state, at(1, 1)), null);
  t.equal(standingOf(state), 'accepted');
  t.end();
});

t.test('refused: the other slot at once; an acceptance brings it into use', (t) => {
  const state = after(two, [0, accepted(A)], [10, refused(A)]);
  t.equal(trialOf(state, at(10)), B);
  t.equal(standingOf(state), 'untried', 'not all are refused yet');
  const moved = after(state, [11, accepted(B, true)]);
  t.match(moved, { inUse: B });
  t.equal(standingOf(moved), 'accepted');
  t.equal(trialOf(moved, at(12)), null);
  t.equal(trialOf(after(moved, [20, refused(B)]), at(20)), A, 'and back by the same rule');
  t.end();
});

t.test('both refused: named, and tried again after pauses that double up to a minute (I9)', (t) => {
  let state = after(two, [0, refused(A)]);
  const pauses: number[] = [];
  let monoMs = 0;
  for (let n = 0; n < 9; n++) {
    t.equal(trialOf(state, at(monoMs)), B);
    state = after(state, [monoMs, refused(B, true)], [monoMs, refused(A)]);
    t.equal(standingOf(state), 'refused');
    t.equal(trialOf(state, at(state.nextTrialMs - 1)), null);
    pauses.push(state.nextTrialMs - monoMs);
    monoMs = state.nextTrialMs;
  }
  t.same(pauses, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
  t.equal(standingOf(after(state, [monoMs, accepted(B, true)])), 'accepted');
  t.equal(standingOf(after(state, [monoMs, accepted(A)])), 'accepted');
  t.end();
});

t.test('a trial without an answer says nothing of the credentials, and is not repeated at once', (t) => {
  const state = after(two, [0, refused(A)], [0, { kind: 'undecided', slot: B }]);
  t.equal(standingOf(state), 'untried');
  t.equal(trialOf(state, at(999)), null);
  t.equal(trialOf(state, at(1000)), B);
  t.end();
});

t.test('a known end: the later of 80 % of the life and seven days before it', (t) => {
  const year = after(two, [0, accepted(A)], [0, good(A, 0, 365)]);
  t.equal(trialOf(year, at(1, 357)), null);
  t.equal(trialOf(year, at(1, 358)), B);
  const day = after(two, [0, accepted(A)], [0, good(A, 0, 1)]);
  t.equal(trialOf(day, at(1, 0.79)), null);
  t.equal(trialOf(day, at(1, 0.8)), B);
  t.equal(trialOf(day, at(1, 5)), B, 'past its end it is still in use: only a refusal ends it');
  t.match(day, { inUse: A });
  t.end();
});

t.test('while the clock is not synchronised no expiry counts, only refusals (I7)', (t) => {
  const state = after(two, [0, accepted(A)], [0, good(A, 0, 1)]);
  t.equal(trialOf(state, at(1, null)), null);
  t.equal(trialOf(after(state, [1, refused(A)]), at(1, null)), B);
  t.end();
});

t.test('next credentials that end sooner are not tried for an expiry', (t) => {
  const state = after(two, [0, accepted(A)], [0, good(A, 0, 365)], [0, good(B, 0, 300)]);
  t.equal(trialOf(state, at(1, 364)), null);
  t.equal(trialOf(after(state, [0, good(B, 0, 400)]), at(1, 364)), B);
  t.end();
});

t.test('refused ahead of an expiry: what is in use stays, and the next try waits longer each time', (t) => {
  let state = after(two, [0, accepted(A)], [0, good(A, 0, 365)]);
  let monoMs = 0;
  for (let n = 0; n < 15; n++) {
    state = after(state, [monoMs, refused(B, true)], [monoMs, accepted(A)]);
    t.match(state, { inUse: A });
    t.equal(standingOf(state), 'accepted');
    t.equal(trialOf(state, at(state.nextTrialMs - 1, 360)), null);
    if (n === 14) t.equal(state.nextTrialMs - monoMs, 15 * 60_000);
    monoMs = state.nextTrialMs;
    t.equal(trialOf(state, at(monoMs, 360)), B);
  }
  const cut = after(state, [monoMs - 1, refused(B, true)], [monoMs, refused(A)]);
  t.equal(trialOf(cut, at(monoMs)), B, 'but when the one in use is refused it is tried at once');
  t.end();
});

t.test('a renewed file is as good as a next slot: proven before the old one is left', (t) => {
  const renewed: CredentialEvent = { kind: 'renewed', slot: A };
  const state = after(oneInFiles, [0, accepted(A)], [5, renewed]);
  t.equal(trialOf(state, at(5)), A);
  const bad = after(state, [5, refused(A, true)]);
  t.equal(standingOf(bad), 'accepted', 'what was loaded from the old file is still in use');
  t.equal(trialOf(bad, at(100_000)), null, 'and the same file is not tried again');
  t.equal(trialOf(after(bad, [6, renewed]), at(6)), A, 'but the next one is, at once');
  t.equal(trialOf(after(state, [6, accepted(A, true)]), at(7)), null);
  t.equal(trialOf(after(oneInFiles, [0, refused(A)]), at(0)), A, 'refused: the files are read again');
  t.end();
});

t.test('with one slot that lies in no file there is nothing to try', (t) => {
  const state = after(one, [0, refused(A)]);
  t.equal(trialOf(state, at(100_000)), null);
  t.equal(standingOf(state), 'refused');
  t.equal(transition(state, refused(B), 1), state);
  t.end();
});
