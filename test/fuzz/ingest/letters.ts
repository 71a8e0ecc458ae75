/** The dead letters at the end: each hostile message, with a fitting reason, and no other. */
import { createHash } from 'node:crypto';
import type { Outcome } from '../../../agent/providers/publisher.ts';
import type { Ledger } from '../../../router/ledger/ledger.ts';
import { wrongAnswer } from './answers.ts';
import type { Hostile } from './kinds.ts';
import type { Way } from './world.ts';

/** Of a message through a source. */
export function nameOf(source: string, bytes: Uint8Array): string {
  return `${source} ${createHash('sha256').update(bytes).digest('hex')}`;
}

export interface Sent {
  ways: readonly Way[];
  /** By {@link nameOf}. */
  hostile: ReadonlyMap<string, Hostile>;
  /** The answers of the router's own endpoint, by the same name. */
  answers: ReadonlyMap<string, Outcome>;
}

export interface Letters {
  /** By reason. */
  reasons: Record<string, number>;
  /** By source: more than were sent where a provider delivered again. */
  letters: Record<string, number>;
  /** Those with the reason `seal-key`: which the removed key opens, and which no key does. */
  sealed: { genuine: number; unknown: number };
}

/** `problem` is called for each that should not be there, or is not, or has another reason. */
export async function compareDeadLetters(
  { maintenance }: Ledger,
  { ways, hostile, answers }: Sent,
  problem: (text: string) => void,
): Promise<Letters> {
  const found: Letters = { reasons: {}, letters: {}, sealed: { genuine: 0, unknown: 0 } };
  const missing = new Map(hostile);
  const heads = await maintenance.deadLetterHeads({}, Number.MAX_SAFE_INTEGER);
  for (const { id, source, reason } of heads) {
    const letter = await maintenance.loadDeadLetter(id);
    const name = nameOf(source, letter?.bytes ?? Buffer.of());
    const expected = hostile.get(name);
    missing.delete(name);
    found.letters[source] = (found.letters[source] ?? 0) + 1;
    found.reasons[reason] = (found.reasons[reason] ?? 0) + 1;
    if (reason === 'seal-key') found.sealed[expected?.genuine ? 'genuine' : 'unknown'] += 1;
    if (!expected) problem(`a dead letter that was not hostile: ${source} ${reason}`);
    else if (!expected.reasons.includes(reason)) problem(`${expected.kind} through ${source} is ${reason}`);
    const judges = ways.some((way) => way.source === source && way.judges);
    const wrong = judges ? wrongAnswer(answers.get(name), reason) : null;
    if (wrong !== null) problem(wrong);
  }
  for (const [name, { kind }] of missing) problem(`no dead letter for ${kind} (${name})`);
  return found;
}
