/**
 * The agent's route `/v1/explain`: `?stream=` for one stream, `?at=` for a moment of the past. Types in
 * shared/admin-api/explanation.ts.
 */

import type { ExplainedCandidate, ExplainedStream } from '../../shared/admin-api/explanation.ts';
import type { RoutingSwitch } from '../../shared/admin-api/status.ts';
import type { AdminRoute } from '../../shared/admin-server.ts';
import { wallMsOf } from '../../shared/clock.ts';
import type { Policy } from '../../shared/policy/policy.ts';
import type { Sender } from '../forward/delivery/sender.ts';
import { explainAt } from '../history/explain-at.ts';
import type { History } from '../history/history.ts';
import { readProblem } from '../history/read-problem.ts';
import type { Holds } from '../holds/holds.ts';
import { holdTexts } from '../holds/text.ts';
import type { ProviderExplanation } from '../routing/core/core.ts';
import { explainedInputs } from '../routing/explained-inputs.ts';
import type { LiveRouting } from '../routing/live-routing.ts';

const SWITCHES_SHOWN = 5;

export interface ExplainParts {
  policy: () => Policy;
  routing: LiveRouting;
  history: History;
  holds: Holds;
  senders: ReadonlyMap<string, Pick<Sender, 'fault'>>;
}

export function explainRoutes(parts: ExplainParts): Record<string, AdminRoute> {
  return { '/v1/explain': explainRoute(parts) };
}

function explainRoute({ policy, routing, history, holds, senders }: ExplainParts): AdminRoute {
  return async ({ stream, at }) => {
    const all = Object.keys(policy().streams);
    if (at !== undefined) return past(history, at, stream);
    if (stream !== undefined && !all.includes(stream)) {
      return { status: 404, body: { error: `no stream "${stream}"; there are ${all.join(', ')}` } };
    }
    const streams = (stream === undefined ? all : [stream]).map((name) =>
      explained(name, { policy, routing, holds, senders }),
    );
    return { status: 200, body: { kind: 'explain', streams } };
  };
}

async function past(
  history: History,
  at: string,
  stream: string | undefined,
): Promise<Awaited<ReturnType<AdminRoute>>> {
  const atMs = wallMsOf(at);
  if (Number.isNaN(atMs))
    return {
      status: 400,
      body: { error: `"${at}" is not a time; expected a time such as 2026-11-21T08:30:00Z` },
    };
  try {
    const answer = await explainAt(history, atMs);
    if (!answer) return { status: 404, body: { error: `the history has no entry from before ${at}` } };
    const streams = answer.streams.filter((one) => stream === undefined || one.stream === stream);
    if (streams.length === 0) return { status: 404, body: { error: `no stream "${stream}" at that time` } };
    return { status: 200, body: { ...answer, streams } };
  } catch (error) {
    return { status: 503, body: { error: `the history cannot be read: ${readProblem(error)}` } };
  }
}

function explained(
  stream: string,
  { policy, routing, holds, senders }: Omit<ExplainParts, 'history'>,
): ExplainedStream {
  const { streams, scoring } = policy();
  const own = routing.switches().filter((entry) => entry.stream === stream);
  const last = own.at(-1);
  return {
    stream,
    reason: streams[stream]?.mode === 'split' ? 'split: shared out over all that may take it' : why(last),
    weights: scoring.weights,
    candidates: routing.explain(stream).map((entry) => ({
      ...candidate(entry, holdTexts(entry.provider, entry.holds, holds)),
      fault: faultText(senders.get(entry.provider)?.fault ?? null),
    })),
    switches: own.slice(-SWITCHES_SHOWN),
  };
}

function faultText(fault: Sender['fault']): string | null {
  return fault === null ? null : `${fault.cause}: ${fault.detail}`;
}

function why(last: RoutingSwitch | undefined): string {
  return last
    ? `since ${last.at}, from ${last.from ?? 'nothing'} to ${last.to ?? 'nothing'}: ${last.reason}`
    : 'the first choice, by preference and score';
}

function candidate(entry: ProviderExplanation, holds: string[]): Omit<ExplainedCandidate, 'fault'> {
  const { provider, refusals, chosen, score, parts, standing, preference, health, healthReason } = entry;
  return {
    provider,
    refusals: [...refusals],
    chosen,
    share: entry.share,
    score,
    parts,
    inputs: explainedInputs(entry.inputs),
    standing,
    preference,
    health,
    healthReason,
    trial: entry.trial,
    holds,
    waitMs: Math.round(entry.waitMs),
    hedgeDelayMs: entry.hedgeDelayMs === null ? null : Math.round(entry.hedgeDelayMs),
  };
}
