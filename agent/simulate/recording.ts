/**
 * A gateway's history in the form that a replay needs: each provider's behaviour, each stream's load and the
 * operators' holds, by wall time. Boots whose clock was never set are left out when others are dated: they
 * lie in 1970 (I7).
 */
import type { Policy, ProviderFacts } from '../../shared/policy/policy.ts';
import { filesIn } from '../history/journal.ts';
import type { LineOf } from '../history/lines.ts';
import { BootClocks, type Entry, readEntries } from '../history/read.ts';
import { type HoldReason, OWN_HOLDS } from '../routing/core/reasons.ts';

/** In wall-clock milliseconds; `to` is not less than `from`. */
export interface Span {
  from: number;
  to: number;
}

export type RecordedTries = Span & Pick<LineOf<'tries'>, 'a' | 'l' | 'f' | 'fl' | 'ff' | 'ra'>;
export type RecordedLoad = Span & Pick<LineOf<'load'>, 's' | 'r' | 'e' | 'er' | 'eb'>;

/** The beginning or end of an operator's hold. */
export interface RecordedHold {
  at: number;
  provider: string;
  reason: ReplayedReason;
  on: boolean;
}

export interface Recording {
  gateway: string;
  /** The policy in force at the end. */
  policy: Policy;
  providers: readonly ProviderFacts[];
  /** The times when the agent ran, ascending. */
  spans: Span[];
  /** By provider; each list is ascending, as are the following ones. */
  tries: ReadonlyMap<string, readonly RecordedTries[]>;
  load: readonly RecordedLoad[];
  holds: readonly RecordedHold[];
  /** Recorded switches away from a provider, by stream. */
  switches: ReadonlyMap<string, number>;
  /** Remarks for the reader of the result. */
  notes: string[];
}

export type RecordingResult = { ok: true; recording: Recording } | { ok: false; message: string };

/** After this time without a line, the agent was not running: idle providers are probed more often. */
const SILENCE_MS = 600_000;
/**
 * Holds that a replay derives itself from the policy and its own count, and the core's own holds, whose
 * inputs are not recorded.
 */
const NOT_REPLAYED: ReadonlySet<HoldReason> = new Set(['quota', 'budget', ...OWN_HOLDS]);

type ReplayedReason = Exclude<HoldReason, 'quota' | 'budget' | (typeof OWN_HOLDS)[number]>;

/** Lines that are not replayed; there are many. */
const OTHERS = /^\{"k":"(?:took|seen)"/;

type Dated<L> = { at: number; line: L };
type Line = Entry['line'];

/** Reads the history in `folder` between `from` and `to`. */
export async function readRecording(folder: string, { from, to }: Span): Promise<RecordingResult> {
  const files = await filesIn(folder);
  if (files.length === 0) return { ok: false, message: `there is no history in ${folder}` };
  const { lines, undated } = await datedLines(files);
  const setups = lines.filter((entry): entry is Dated<LineOf<'setup'>> => entry.line.k === 'setup');
  const setup = setups.findLast(({ at }) => at <= to)?.line ?? setups[0]?.line;
  if (!setup) return { ok: false, message: `no policy was recorded in ${folder}` };
  const within = lines.filter(({ at, line }) => at <= to && at + lengthOf(line) >= from);
  const spans = spansOf(within, { from, to });
  if (spans.length === 0) return { ok: false, message: 'the history has no entries of that time' };
  const policies = policiesIn(setups, { from, to });
  const notes = [];
  if (undated > 0) notes.push(`${undated} lines of boots whose clock was never set are left out`);
  if (policies > 1) notes.push(`the policy changed in that time; "recorded" is the last of ${policies}`);
  return {
    ok: true,
    recording: {
      gateway: setup.gw,
      policy: setup.policy,
      providers: setup.providers,
      spans,
      tries: triesOf(lines),
      load: within.flatMap(({ at, line }) =>
        line.k === 'load' ? [{ ...line, from: at, to: at + line.d }] : [],
      ),
      holds: holdsOf(lines),
      switches: switchesOf(within),
      notes,
    },
  };
}

/** Number of policies, including the one in force at the beginning. */
function policiesIn(setups: ReadonlyArray<Dated<LineOf<'setup'>>>, { from, to }: Span): number {
  const first = setups.findLastIndex(({ at }) => at <= from);
  const inForce = setups.slice(Math.max(0, first)).filter(({ at }) => at <= to);
  return new Set(inForce.map(({ line }) => JSON.stringify(line.policy))).size;
}

async function datedLines(files: readonly string[]): Promise<{ lines: Dated<Line>[]; undated: number }> {
  const clocks = new BootClocks();
  const entries: Entry[] = [];
  const wanted = (text: string): boolean => !OTHERS.test(text);
  for await (const entry of readEntries(files, clocks, wanted)) entries.push(entry);
  const dated = entries.map(({ boot, line }) => ({ ...clocks.wallOf(boot, line.m), line }));
  const right = dated.filter(({ clock }) => clock === 'synchronised');
  const used = right.length > 0 ? right : dated;
  const lines = used.map(({ wallMs, line }) => ({ at: wallMs, line })).sort((a, b) => a.at - b.at);
  return { lines, undated: dated.length - used.length };
}

function lengthOf(line: Line): number {
  return 'd' in line ? line.d : 0;
}

function spansOf(lines: readonly Dated<Line>[], { from, to }: Span): Span[] {
  const spans: Span[] = [];
  for (const { at, line } of lines) {
    const last = spans.at(-1);
    const end = Math.min(to, at + lengthOf(line));
    if (last && at - last.to <= SILENCE_MS) last.to = Math.max(last.to, end);
    else spans.push({ from: Math.max(from, at), to: end });
  }
  return spans.filter((span) => span.to > span.from);
}

function triesOf(lines: readonly Dated<Line>[]): Map<string, RecordedTries[]> {
  const tries = new Map<string, RecordedTries[]>();
  for (const { at, line } of lines) {
    if (line.k !== 'tries') continue;
    const own = tries.get(line.p) ?? [];
    tries.set(line.p, own);
    own.push({ ...line, from: at, to: at + line.d });
  }
  return tries;
}

/**
 * A state line lists all holds in force. So it reveals a hold whose beginning was lost, and ends a hold whose
 * end was lost.
 */
function holdsOf(lines: readonly Dated<Line>[]): RecordedHold[] {
  const inForce = new Map<string, { provider: string; reason: ReplayedReason }>();
  const holds: RecordedHold[] = [];
  const set = (at: number, provider: string, reason: HoldReason, on: boolean): void => {
    const key = `${reason} ${provider}`;
    if (!isReplayed(reason) || inForce.has(key) === on) return;
    if (on) inForce.set(key, { provider, reason });
    else inForce.delete(key);
    holds.push({ at, provider, reason, on });
  };
  for (const { at, line } of lines) {
    if (line.k === 'hold') set(at, line.p, line.why, line.on);
    if (line.k !== 'state') continue;
    for (const { provider, reason } of [...inForce.values()]) {
      if (!line.holds[provider]?.includes(reason)) set(at, provider, reason, false);
    }
    for (const [provider, reasons] of Object.entries(line.holds))
      for (const reason of reasons) set(at, provider, reason, true);
  }
  return holds;
}

function isReplayed(reason: HoldReason): reason is ReplayedReason {
  return !NOT_REPLAYED.has(reason);
}

function switchesOf(lines: readonly Dated<Line>[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { line } of lines) {
    if (line.k === 'switch' && line.from !== null) counts.set(line.s, (counts.get(line.s) ?? 0) + 1);
  }
  return counts;
}
