/** Rules broken on purpose, as text patches: each must be found by the simulation. */
import type { Invariant } from './truth.ts';

export interface Mutant {
  breaks: Invariant;
  what: string;
  file: string;
  /** Must be there exactly once. */
  from: string;
  to: string;
}

export const MUTANTS: readonly Mutant[] = [
  {
    breaks: 'I1',
    what: 'the device gets its PUBACK before the commit',
    file: 'agent/broker/intake.ts',
    from: 'store.submit(record, publish.session, (error) => {',
    to: 'settled(null);\n      store.submit(record, publish.session, (error) => {',
  },
  {
    breaks: 'I2',
    what: 'a start goes on in the first epoch (in the model of the buffer)',
    file: 'test/sim/disk.ts',
    from: 'this.starts += 1;',
    to: 'this.starts = 1;\n    entropy = { float: () => 0, bytes: (length) => new Uint8Array(length) };',
  },
  {
    breaks: 'I2',
    what: 'an epoch is named by the counter alone (in the model of the buffer)',
    file: 'test/sim/disk.ts',
    from: 'this.starts += 1;',
    to: 'this.starts += 1;\n    entropy = { float: () => 0, bytes: (length) => new Uint8Array(length) };',
  },
  {
    breaks: 'I3',
    what: 'a row is freed at the first of its copies',
    file: 'agent/store/progress.ts',
    from: 'copies <= 1 ? parts : record(accepted, provider, parts, copies)',
    to: 'copies > 9 ? record(accepted, provider, parts, copies) : parts',
  },
  {
    breaks: 'I3',
    what: 'an unknown outcome counts as accepted',
    file: 'agent/forward/delivery.ts',
    from: "if (outcome.kind === 'accepted') {",
    to: "if (outcome.kind === 'accepted' || outcome.kind === 'unknown') {",
  },
  {
    breaks: 'I3',
    what: 'rows that did not fit into the envelope count as sent',
    file: 'agent/forward/forwarder.ts',
    from: 'const range = run && last !== undefined ? { ...run, last } : null;',
    to: 'const range = run && last !== undefined ? run : null;',
  },
  {
    breaks: 'I3',
    what: 'gaps are forgotten instead of announced',
    file: 'agent/forward/forwarder.ts',
    from: 'gaps: queue.gaps.slice(0, GAPS_PER_ENVELOPE_MAX),',
    to: 'gaps: [],',
  },
  {
    breaks: 'I3',
    what: 'rows of earlier epochs are not taken over after a start',
    file: 'agent/forward/streams.ts',
    from: 'else queues.push(this.#settlements.queueOf(this.of(state.stream), state));',
    to: '',
  },
  {
    breaks: 'I4',
    what: 'a hedge goes to any provider with room',
    file: 'agent/forward/hedging.ts',
    from: 'const targets = this.#routing.candidates(stream, exclude, places.turn);',
    to: 'const targets = [...this.#counters.keys()].filter((name) => !exclude.has(name));',
  },
  {
    breaks: 'I4',
    what: 'residency is no gate',
    file: 'agent/routing/eligibility.ts',
    from: "if (insideResidency(facts, stream, policy.compliance) === false) refusals.push('residency');",
    to: '',
  },
  {
    breaks: 'I4',
    what: 'residency is ignored while failing over',
    file: 'agent/routing/core.ts',
    from: '  const open = known.ranked.filter',
    to: `  if (exclude.size > 0) return state.providers.map(({ facts }) => facts.name).filter((name) => !exclude.has(name));
  const open = known.ranked.filter`,
  },
  {
    breaks: 'I4',
    what: 'an open breaker is no gate',
    file: 'agent/routing/eligibility.ts',
    from: "if (kind === 'open' || kind === 'probing') refusals.push(kind);",
    to: 'void kind;',
  },
  {
    breaks: 'I5',
    what: 'the ledger adds records without asking the set',
    file: 'router/ledger/rules.ts',
    from: 'if (seen.add(record.seq) === 0) {',
    to: 'if (seen.add(record.seq) < 0) {',
  },
  {
    breaks: 'I5',
    what: 'a message is settled before the commit',
    file: 'router/ingest.ts',
    from: 'return new Promise((settle) => this.#enqueue({ entry, delivery, bytes: sizeOf(envelope), settle }));',
    to: "this.#enqueue({ entry, delivery, bytes: sizeOf(envelope), settle: () => undefined });\n    return 'settle';",
  },
  {
    breaks: 'I6',
    what: 'an id stays given up when its record arrives after all',
    file: 'router/ledger/rules.ts',
    from: 'for (const set of sets) if (set.size > 0) set.remove(record.seq);',
    to: '',
  },
  {
    breaks: 'I6',
    what: 'the end of an epoch says nothing about what is missing',
    file: 'router/ledger/rules.ts',
    from: 'const highest = Math.max(known.max, sealedAt ?? 0);',
    to: 'const highest = known.max;',
  },
  {
    breaks: 'I7',
    what: 'routing reads the wall clock',
    file: 'agent/forward/live-routing.ts',
    from: 'transition(this.#state, event, this.#clock.monoMs())',
    to: 'transition(this.#state, event, this.#clock.wallMs())',
  },
  {
    breaks: 'I7',
    what: 'records are stamped by the wall clock',
    file: 'agent/broker/intake.ts',
    from: 'recordOf(publish, stream, clock.monoMs())',
    to: 'recordOf(publish, stream, clock.wallMs())',
  },
  {
    breaks: 'I9',
    what: 'an envelope that came back keeps its rows reserved',
    file: 'agent/forward/stream-queue.ts',
    from: '    this.#reserved.remove(first, last);\n    this.#waitedTo',
    to: '    this.#waitedTo',
  },
  {
    breaks: 'I9',
    what: 'an open breaker is never probed',
    file: 'agent/routing/probes.ts',
    from: 'return nowMs >= health.nextProbeMs;',
    to: 'return false;',
  },
  {
    breaks: 'I10',
    what: 'nothing is evicted',
    file: 'agent/store/limits.ts',
    from: "if (holding.limits.whenFull === 'evict' && (",
    to: "if (holding.limits.whenFull === 'reject' && (",
  },
  {
    breaks: 'I10',
    what: 'places at a provider are not counted',
    file: 'agent/forward/sender.ts',
    from: 'if (this.#places >= IN_FLIGHT_MAX) return null;',
    to: '',
  },
  {
    breaks: 'I11',
    what: 'which of two providers is better is left to chance',
    file: 'agent/routing/choose.ts',
    from: 'if (a.standing !== b.standing) return b.standing - a.standing;',
    to: 'if (a.standing !== b.standing) return b.standing - a.standing + Math.random() - 0.5;',
  },
  {
    breaks: 'I11',
    what: 'a stream moves by choice without the dwell',
    file: 'agent/routing/choose.ts',
    from: '.filter((other) => waitMs(state, stream, other, occasion) === 0)',
    to: '',
  },
];
