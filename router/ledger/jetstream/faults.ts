/** The faults of a ledger's streams, found from what the servers say and from the notes; and their fixes. */
import { EXIT } from '../../../shared/exit-codes.ts';
import { StartRefused } from '../../../shared/start-refused.ts';
import { consequenceOf } from '../accepted-parts.ts';
import type { StreamState } from './connection.ts';
import type { Names } from './names.ts';
import type { Note } from './notes.ts';

export type Part = 'cursors' | 'records' | 'state' | 'commits';
export type Evidence = 'conflicts' | 'deadLetters' | 'repeats';

/** Every ledger has these. The first message of the first one decides the id. */
export const PARTS: readonly Part[] = ['cursors', 'records', 'state', 'commits'];
/** They have a message with a note, or with the id alone. */
export const MARKED: readonly Part[] = ['cursors', 'records', 'state'];
/** Made with their first message. */
export const EVIDENCE: readonly Evidence[] = ['conflicts', 'deadLetters', 'repeats'];

export type Found = Readonly<Record<Part | Evidence, StreamState | null>>;
export type Whole = Found & Readonly<Record<Part, StreamState>>;
/** Of each marked part that is there; null where that message is gone. */
export type Notes = ReadonlyMap<Part, Note | null>;

export interface Fault {
  part: Part | Evidence;
  kind: 'missing' | 'emptied' | 'older' | 'foreign';
  what: string;
}

/** The table of the SQL engines with the same content: what is missed without it is the same. */
const TABLE_OF: Readonly<Partial<Record<Part | Evidence, string>>> = {
  cursors: 'cursor',
  conflicts: 'conflict',
  deadLetters: 'dead_letter',
  repeats: 'repetition',
};

const ACCEPT = 'headgate ledger accept --config <router.yaml>';

/** At most one fault of each part. A ledger of an earlier version, without an id, can only lack parts. */
export function faultsIn(found: Found, notes: Notes): Fault[] {
  const faults = new Map<Fault['part'], Fault>();
  const add = (part: Fault['part'], kind: Fault['kind'], what: string): void => {
    if (!faults.has(part)) faults.set(part, { part, kind, what });
  };
  for (const part of PARTS) if (found[part] === null) add(part, 'missing', 'is missing');
  const id = idOf(found);
  if (id === null) return [...faults.values()];
  for (const part of [...PARTS, ...EVIDENCE]) {
    const own = found[part];
    // Evidence of an earlier version has no id.
    if (own === null || (own.id === null && isEvidence(part))) continue;
    if (own.id !== id) add(part, 'foreign', 'is of another ledger');
  }
  const { commits } = found;
  const last = commits?.lastSeq ?? 0;
  if (commits && last > 0 && (commits.messages === 0 || commits.firstSeq > 1))
    add('commits', 'emptied', 'was purged: its first commits are gone');
  for (const [part, note] of notes) {
    if (note === null && last > 0) add(part, 'emptied', 'was purged');
    if (note === null) continue;
    if (note.id !== id) add(part, 'foreign', 'holds the content of another ledger');
    else addOlder(note, found, add);
  }
  return [...faults.values()];
}

function addOlder(
  { ends }: Note,
  found: Found,
  add: (part: Fault['part'], kind: Fault['kind'], what: string) => void,
): void {
  for (const [part, end] of ends) {
    const now = found[part];
    if (now === null && end > 0) add(part, 'missing', 'is missing');
    if (now === null || now.lastSeq >= end) continue;
    const unit = part === 'commits' ? 'commit' : 'message';
    add(part, 'older', `ends before ${unit} ${end}, which it held: an older copy, or made anew`);
  }
}

/**
 * The id that most parts have, so that the single part of another ledger is the foreign one; null where no
 * part has one: a ledger of an earlier version.
 */
export function idOf(found: Found): string | null {
  const ids = PARTS.flatMap((part) => found[part]?.id ?? []);
  const votes = (id: string): number => ids.filter((other) => other === id).length;
  return ids.toSorted((a, b) => votes(b) - votes(a))[0] ?? null;
}

export function isWhole(found: Found): found is Whole {
  return PARTS.every((part) => found[part] !== null);
}

export function isNone(found: Found): boolean {
  return PARTS.every((part) => found[part] === null);
}

/** A router makes it anew from the log of commits. */
export function isRebuilt({ part, kind }: Fault): boolean {
  return part === 'state' && kind === 'missing';
}

/** Whether `ledger accept` takes the part as it is. A part of another ledger it never takes. */
export function isAcceptable({ part, kind }: Fault): boolean {
  return kind !== 'foreign' && TABLE_OF[part] !== undefined;
}

export function acceptedLine(names: Names, { part }: Fault): string {
  return `JetStream stream ${names[part]}: ${consequenceOf(TABLE_OF[part] ?? '') ?? ''}`;
}

export function problemOf(names: Names, { part, what }: Fault): string {
  return `JetStream stream ${names[part]} ${what}`;
}

/** Names each part and its fix. */
export function refusal(names: Names, faults: readonly Fault[]): StartRefused {
  const lost = faults.some(({ part, kind }) => kind === 'missing' && !isEvidence(part))
    ? 'it lost a part: '
    : '';
  const told = faults.map((fault) => `${problemOf(names, fault)}. ${fixOf(names, fault)}`).join('. ');
  return new StartRefused(`ledger ${names.ledger}: ${lost}${told}`, EXIT.config);
}

function fixOf(names: Names, fault: Fault): string {
  if (isRebuilt(fault)) return 'A router makes it anew from the log of commits';
  if (fault.part === 'state') return `Delete ${names.state}: a router makes it anew from the log of commits`;
  if (isAcceptable(fault)) return `Restore it from the newest backup, or go on as it is with: ${ACCEPT}`;
  if (TABLE_OF[fault.part] === undefined) return 'Restore the whole ledger from one backup';
  return `Put the ledger's own back, or delete it and go on without with: ${ACCEPT}`;
}

function isEvidence(part: Part | Evidence): part is Evidence {
  return EVIDENCE.some((one) => one === part);
}
