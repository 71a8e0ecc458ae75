/**
 * The whereabouts of one record: the buffer knows whether it waits, the history knows the providers that
 * accepted it.
 */

import type { TimeSpan, WhereAnswer, WhereState } from '../../shared/admin-api/where.ts';
import { isoTime } from '../../shared/clock.ts';
import type { GapReason, RecordId } from '../../shared/record.ts';
import type { Store } from '../store/store.ts';
import type { History } from './history.ts';
import type { LineOf } from './lines.ts';
import { BootClocks } from './read.ts';

interface WhereParts {
  store: Store;
  history: History;
  /** Copies of the stream; null when the policy does not name it. */
  copiesOf: (stream: string) => number | null;
}

/** Rejects while the buffer's file is not open. */
export async function whereIs(id: RecordId, parts: WhereParts): Promise<WhereAnswer> {
  const { epoch, stream, seq } = id;
  // The buffer first: a record that leaves it in between is in the history already. In the other order it
  // could be missed in both.
  const isWaiting = (await parts.store.read(epoch, stream, seq, seq, 1)).length > 0;
  const { took, gaveUp, since } = await notesOf(id, parts.history);
  const isGiven = epoch !== parts.store.epoch || seq <= parts.history.lastSeq(stream);
  return {
    kind: 'where',
    id: `${id.gateway}/${epoch}/${stream}/${seq}`,
    state: stateOf({ isWaiting, isGiven, took: took.size > 0, gaveUp: gaveUp !== null }),
    reason: gaveUp?.why ?? null,
    gaveUp: gaveUp?.span ?? null,
    accepted: [...took].map(([provider, span]) => ({ provider, ...span })),
    copies: parts.copiesOf(stream),
    notesSince: since,
  };
}

function stateOf(found: Record<'isWaiting' | 'isGiven' | 'took' | 'gaveUp', boolean>): WhereState {
  if (found.gaveUp) return 'given-up';
  if (found.isWaiting) return 'waiting';
  if (found.took) return 'delivered';
  return found.isGiven ? 'unknown' : 'not-yet-given';
}

interface Notes {
  /** First acceptance by each provider. */
  took: Map<string, TimeSpan>;
  gaveUp: { why: GapReason; span: TimeSpan } | null;
  since: string | null;
}

interface Found<L extends LineOf<'took' | 'gave-up'>> {
  boot: string;
  line: L;
}

async function notesOf({ epoch, stream, seq }: RecordId, history: History): Promise<Notes> {
  const clocks = new BootClocks();
  const own = `"ep":"${epoch}","s":"${stream}"`;
  const took: Array<Found<LineOf<'took'>>> = [];
  let gaveUp: Found<LineOf<'gave-up'>> | null = null;
  let oldest: { boot: string; m: number } | null = null;
  const wanted = (text: string): boolean => oldest === null || text.includes(own);
  for await (const { boot, line } of history.entries(clocks, wanted)) {
    oldest ??= { boot, m: line.m };
    if (line.k !== 'took' && line.k !== 'gave-up') continue;
    if (line.ep !== epoch || line.s !== stream || !holds(line.r, seq)) continue;
    if (line.k === 'took') took.push({ boot, line });
    else gaveUp ??= { boot, line };
  }
  // The clocks are complete only after all entries were read.
  const spanOf = ({ boot, line: { m, d } }: Found<LineOf<'took' | 'gave-up'>>): TimeSpan => {
    const { wallMs, clock } = clocks.wallOf(boot, m);
    return { from: isoTime(wallMs), to: isoTime(wallMs + d), clock };
  };
  const spans = new Map<string, TimeSpan>();
  for (const found of took) if (!spans.has(found.line.p)) spans.set(found.line.p, spanOf(found));
  return {
    took: spans,
    gaveUp: gaveUp && { why: gaveUp.line.why, span: spanOf(gaveUp) },
    since: oldest && isoTime(clocks.wallOf(oldest.boot, oldest.m).wallMs),
  };
}

function holds(ranges: readonly number[], seq: number): boolean {
  for (let i = 0; i < ranges.length; i += 2) {
    if (seq >= (ranges[i] ?? 0) && seq <= (ranges[i + 1] ?? 0)) return true;
  }
  return false;
}
