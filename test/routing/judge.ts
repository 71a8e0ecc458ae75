/** Runs one case and says in sentences where the core did otherwise. */
import { candidates, explain } from '../../agent/routing/core/core.ts';
import { duration, durationText } from '../../shared/config/kinds.ts';
import { type Case, factsOf, type Happening, type Instant, policyOf, type Span } from './case.ts';
import { type Logged, SimulatedGateway } from './gateway.ts';

type Switch = Extract<Logged, { kind: 'switch' }>;

/** The differences from the case; empty without any. */
export function problemsOf(wanted: Case): string[] {
  const names = Object.keys(wanted.providers);
  const gateway = new SimulatedGateway({
    policy: policyOf(wanted.policy, names),
    providers: factsOf(wanted.providers),
    everyMs: wanted.every,
    seed: wanted.seed,
  });
  const problems: string[] = [];
  const instants = wanted.expect.flatMap((expected) => ('at' in expected ? [expected] : []));
  const spans = wanted.expect.flatMap((expected) => ('from' in expected ? [expected] : []));
  const stops = [
    ...wanted.timeline.map((happening) => ({
      atMs: happening.at,
      run: () => apply(gateway, happening, names),
    })),
    ...instants.map((instant) => ({
      atMs: instant.at,
      run: () => void problems.push(...instantProblems(gateway, instant)),
    })),
  ].sort((a, b) => a.atMs - b.atMs);
  for (const { atMs, run } of stops) {
    if (atMs > wanted.lasts) throw new Error(`${durationText(atMs)} is after the end of the case`);
    gateway.runUntil(atMs);
    run();
  }
  gateway.runUntil(wanted.lasts);
  problems.push(...spans.flatMap((span) => spanProblems(gateway, span)));
  if (wanted.switches) problems.push(...switchProblems(switchesOf(gateway), wanted.switches));
  return problems;
}

function apply(gateway: SimulatedGateway, happening: Happening, names: readonly string[]): void {
  const { at, hold, release, lag, quota, policy, thrift, stall, ...weather } = happening;
  for (const [provider, text] of Object.entries(weather)) {
    if (!names.includes(provider)) throw new Error(`${durationText(at)}: no provider ${provider}`);
    gateway.weather(provider, text);
  }
  for (const [provider, reason] of Object.entries(hold)) gateway.dispatch({ kind: 'hold', provider, reason });
  for (const [provider, reason] of Object.entries(release)) {
    gateway.dispatch({ kind: 'release', provider, reason });
  }
  if (thrift !== undefined) gateway.dispatch({ kind: 'thrift', on: thrift });
  const lags = Object.entries(lag).map(([provider, lagMs]) => ({ provider, lagMs }));
  if (lags.length > 0) gateway.dispatch({ kind: 'receipts', lags });
  for (const [provider, quotaUsed] of Object.entries(quota)) {
    gateway.dispatch({ kind: 'usage', provider, unitsThisMonth: 0, quotaUsed });
  }
  if (policy) gateway.dispatch({ kind: 'policy', policy: policyOf(policy, names) });
  if (stall !== undefined) gateway.stall(stall);
}

function instantProblems({ state, waiting }: SimulatedGateway, wanted: Instant): string[] {
  const found: string[] = [];
  const compare = (what: string, got: unknown, expected: unknown): void => {
    if (JSON.stringify(got) === JSON.stringify(expected)) return;
    found.push(
      `at ${durationText(wanted.at)} ${what}: ${JSON.stringify(got)}, not ${JSON.stringify(expected)}`,
    );
  };
  const first = state.streams[0]?.name ?? '';
  for (const [stream, expected] of perStream(wanted.chosen, first)) {
    compare(`${stream} chosen`, state.streams.find(({ name }) => name === stream)?.chosen, expected);
  }
  for (const [stream, expected] of perStream(wanted.candidates, first)) {
    compare(`${stream} candidates`, candidates(state, stream, new Set()), expected);
  }
  const explained = explain(state, first);
  const one = (name: string) => explained.find(({ provider }) => provider === name);
  for (const [name, expected] of Object.entries(wanted.health ?? {})) {
    compare(`health of ${name}`, one(name)?.health, expected);
  }
  for (const [name, expected] of Object.entries(wanted.refusals ?? {})) {
    compare(`refusals of ${name}`, one(name)?.refusals, expected);
  }
  for (const [name, expected] of Object.entries(wanted.holds ?? {})) {
    compare(`holds of ${name}`, one(name)?.holds, expected);
  }
  if (wanted.waiting !== undefined) compare('waiting', waiting, wanted.waiting);
  if (waiting < (wanted.waiting_min ?? 0)) compare('waiting at least', waiting, wanted.waiting_min);
  return found;
}

function perStream<T extends string | null | string[]>(
  wanted: T | Record<string, T> | undefined,
  first: string,
): Array<[string, T]> {
  if (wanted === undefined) return [];
  if (isByStream(wanted)) return Object.entries(wanted);
  return [[first, wanted]];
}

function isByStream<T extends string | null | string[]>(
  wanted: T | Record<string, T>,
): wanted is Record<string, T> {
  return typeof wanted === 'object' && wanted !== null && !Array.isArray(wanted);
}

function spanProblems(gateway: SimulatedGateway, span: Span): string[] {
  const inside = ({ atMs }: { atMs: number }): boolean => atMs > span.from && atMs <= span.until;
  const label = `${durationText(span.from)}..${durationText(span.until)}`;
  const found: string[] = [];
  const switches = switchesOf(gateway).filter(inside).length;
  if (switches > (span.switches_max ?? Number.POSITIVE_INFINITY)) {
    found.push(`${label}: ${switches} switches, at most ${span.switches_max}`);
  }
  const sent = gateway.sent.filter(inside).map(({ provider }) => provider);
  const probes = gateway.log
    .filter(inside)
    .flatMap((effect) => (effect.kind === 'probe' ? [effect.provider] : []));
  const hedges = gateway.hedged.filter(inside).map(({ provider }) => provider);
  const bounds = [
    { what: 'sent', all: sent, min: span.sent_min, max: span.sent_max },
    { what: 'probes', all: probes, min: span.probes_min, max: span.probes_max },
    { what: 'hedges', all: hedges, min: span.hedges_min, max: span.hedges_max },
  ];
  for (const { what, all, min, max } of bounds) {
    const got = (name: string): number => all.filter((provider) => provider === name).length;
    for (const [name, most] of Object.entries(max ?? {})) {
      if (got(name) > most) found.push(`${label} ${what} to ${name}: ${got(name)}, at most ${most}`);
    }
    for (const [name, least] of Object.entries(min ?? {})) {
      if (got(name) < least) found.push(`${label} ${what} to ${name}: ${got(name)}, at least ${least}`);
    }
  }
  return found;
}

function switchProblems(got: readonly Switch[], wanted: readonly string[]): string[] {
  const shown = got.map(
    ({ atMs, stream, from, to, reason }) => `${durationText(atMs)} ${stream}: ${from} > ${to} ${reason}`,
  );
  const same = got.length === wanted.length && got.every((made, i) => matches(made, wanted[i] ?? ''));
  return same ? [] : [`switches: ${JSON.stringify(shown)}, not ${JSON.stringify(wanted)}`];
}

function matches({ atMs, stream, from, to, reason }: Switch, wanted: string): boolean {
  const form = /^(\S+?)(?:\.\.(\S+))? (?:(\S+): )?(\S+) > (\S+) (\S+)$/.exec(wanted);
  if (!form) throw new Error(`not a switch: "${wanted}"; write "10s..12s aws > azure breaker"`);
  const [, first = '', last = first, name = stream, ...rest] = form;
  const inTime = atMs >= duration().parse(first) && atMs <= duration().parse(last);
  return inTime && name === stream && rest.join(' ') === [from ?? 'none', to ?? 'none', reason].join(' ');
}

function switchesOf({ log }: SimulatedGateway): Switch[] {
  return log.filter((effect) => effect.kind === 'switch');
}
