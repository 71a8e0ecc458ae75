/** `headgate simulate`: one column for each policy. */
import type { PolicyReplay, SimulationReport, StreamReplay } from '../../shared/admin-api/simulation.ts';
import { countText, line, percentText, spanText, table } from '../format.ts';

type Row = [label: string, ...cells: string[]];

export function renderSimulation(report: SimulationReport): string {
  const { gateway, from, to, replayedMs, policies, notes } = report;
  const head = `gateway ${gateway}, ${from} to ${to}: ${spanText(replayedMs)} in which the agent ran`;
  const streams = [...new Set(policies.flatMap((policy) => policy.streams.map(({ stream }) => stream)))];
  const rows = [
    ...row('switches', policies, ({ switches }) => String(switches)),
    ...row('some stream with no provider', policies, ({ nowhereMs }) => riskText(nowhereMs)),
    ...row('some stream with one or none', policies, ({ atRiskMs }) => riskText(atRiskMs)),
    ...row('metered, USD', policies, ({ usd }) => usd.toFixed(4)),
    ...providerRows(policies),
  ];
  const headings = ['', ...policies.map(({ policy }) => policy)];
  const tables = [
    table(headings, rows),
    ...streams.map((stream) =>
      table([`STREAM ${stream}`, ...headings.slice(1)], streamRows(stream, policies)),
    ),
  ];
  return [line(head), ...tables, ...notes.map((note) => line(`note: ${note}`))].join('\n\n');
}

function providerRows(policies: readonly PolicyReplay[]): Row[] {
  const names = policies[0]?.providers.map(({ provider }) => provider) ?? [];
  return names.flatMap((name) => {
    const of = (policy: PolicyReplay) => policy.providers.find(({ provider }) => provider === name);
    return row(`– ${name}`, policies, (policy) => {
      const { usd = 0, units = 0, heldMs = 0 } = of(policy) ?? {};
      return `${usd.toFixed(4)} for ${countText(units)} units${heldMs > 0 ? `, held ${spanText(heldMs)}` : ''}`;
    });
  });
}

function streamRows(stream: string, policies: readonly PolicyReplay[]): Row[] {
  const of = (policy: PolicyReplay): StreamReplay | undefined =>
    policy.streams.find((one) => one.stream === stream);
  const providers = policies[0]?.providers.map(({ provider }) => provider) ?? [];
  const used = providers.filter((name) => policies.some((policy) => (of(policy)?.shares[name] ?? 0) > 0));
  const cell = (text: (replayed: StreamReplay) => string) => (policy: PolicyReplay) => {
    const replayed = of(policy);
    return replayed ? text(replayed) : 'no such stream';
  };
  return [
    ...used.flatMap((name) =>
      row(
        `to ${name}`,
        policies,
        cell(({ shares }) => percentText(shares[name] ?? 0)),
      ),
    ),
    ...row(
      'no provider',
      policies,
      cell(({ nowhereMs }) => riskText(nowhereMs)),
    ),
    ...row(
      'one provider',
      policies,
      cell(({ onlyOneMs }) => riskText(onlyOneMs)),
    ),
    ...row(
      'switches',
      policies,
      cell(({ switches }) => switchesText(switches)),
    ),
    ...row(
      'switches recorded',
      policies,
      cell(({ recordedSwitches }) => String(recordedSwitches)),
    ),
    ...row(
      'records',
      policies,
      cell(({ records }) => countText(records)),
    ),
    ...row(
      'most waiting',
      policies,
      cell(({ mostWaiting }) => countText(mostWaiting)),
    ),
  ];
}

function row(
  label: string,
  policies: readonly PolicyReplay[],
  cell: (policy: PolicyReplay) => string,
): Row[] {
  return [[label, ...policies.map(cell)]];
}

function riskText(ms: number): string {
  return ms === 0 ? 'never' : spanText(ms);
}

function switchesText(switches: Readonly<Record<string, number>>): string {
  const counts = Object.entries(switches).map(([reason, count]) => `${count} ${reason}`);
  return counts.join(', ') || 'none';
}
