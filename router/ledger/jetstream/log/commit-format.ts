/** The message of a commit in the log: the decided changes of each envelope. Records are stored elsewhere. */
import { encode as encodeCbor } from 'cborg';
import { decodeCbor } from '../../../../shared/envelope/cbor.ts';
import { IntervalSet } from '../../../../shared/interval-set.ts';
import { GAP_REASONS, type StreamKey } from '../../../../shared/record.ts';
import type { BootClock } from '../../rules/boot-clocks.ts';
import { type GivenUp, givenUpOf, isNothing } from '../../rules/given-up.ts';
import type { GatewayContact } from '../../types.ts';
import type { Parts } from './blobs.ts';

export interface Commit {
  /** Dense from 1. */
  number: number;
  /** The last offset before it: the number of records in all earlier commits. */
  offset: number;
  /** Totals since the ledger was created, including this commit. */
  duplicates: number;
  conflicts: number;
  entries: readonly CommitEntry[];
  contacts: readonly GatewayContact[];
  bootClocks: readonly BootClock[];
  /** Its records are in their gateways' shares; false for a commit of a router from before there were any. */
  isShared: boolean;
}

/** The changes of one envelope; its new records follow those of the entry before it in offset. */
export interface CommitEntry extends StreamKey {
  /** The ids of its new records, their parts, and their bytes by `storedBytes`. */
  fresh: IntervalSet;
  parts: Parts;
  storedBytes: number;
  /** Ids newly given up. */
  givenUp: GivenUp;
  sealedAt: number | null;
  duplicates: number;
  /** Versions kept aside. */
  aside: readonly Aside[];
  /** Its records have known ids: they replace the standing records (last-write-wins). */
  replaces: boolean;
  /** The records that left the ledger; null for an entry that adds records. */
  removal: Removal | null;
  /** Null where it changes nothing of what is proven. */
  proof: ProofChange | null;
}

/** The change of a stream's proof (rules/proof.ts). */
export interface ProofChange {
  /** The envelope is verified. Where not, the ids of `fresh` are unverified. */
  verified: boolean;
  /** Unverified ids that are proven now. */
  proven: IntervalSet;
  /** Unverified ids that the gateway has given up. */
  waived: IntervalSet;
}

export interface Removal {
  why: 'retention' | 'erasure';
  /** Ids to mark as withdrawn. */
  ids: IntervalSet;
  /** The ids among `ids` whose record stood; and the messages of versions kept aside. */
  gone: IntervalSet;
  aside: readonly number[];
  /** Records that stay: they are in the entry's `parts` now, at their old offsets. */
  moved: IntervalSet;
  /** The bytes that leave the gateway's share; 0 for records that are in none. */
  bytes: number;
}

export interface Aside {
  seq: number;
  /** Sequence of its message in the stream of conflicts. */
  message: number;
  /** This version stood until the conflict put its id into quarantine. */
  stood: boolean;
}

/** The format before conflict policies; still used where no policy had an effect. */
const FORMAT = 1;
/** Some entries replace records or put ids into quarantine. */
const FORMAT_OF_POLICIES = 2;
/** Some entries remove records. */
const FORMAT_OF_REMOVALS = 3;
/** Format 3 with more reasons for gaps. */
const FORMAT_OF_REASONS = 4;
/** The number of reasons in the formats before 4. */
const FIRST_REASONS = 3;

type EntryRow = [
  gateway: string,
  epoch: string,
  stream: string,
  fresh: Uint8Array,
  parts: Parts,
  storedBytes: number,
  /** In the order of GAP_REASONS: three sets, or all of them in format 4. */
  givenUp: Uint8Array[] | null,
  sealedAt: number | null,
  duplicates: number,
  aside: number[],
  /** Of format 2: whether the entry replaces records; the messages of `aside` that stood. */
  replaces?: boolean,
  stood?: number[],
  /** Of format 3. */
  removal?: RemovalRow | null,
  /** Of any format: an older version takes every record for proven, as it did before. */
  proof?: ProofRow | null,
];
type ProofRow = [verified: boolean, proven: Uint8Array, waived: Uint8Array];
type RemovalRow = [
  why: Removal['why'],
  ids: Uint8Array,
  gone: Uint8Array,
  aside: readonly number[],
  moved: Uint8Array,
  /** Absent in data from before there were shares. */
  bytes?: number,
];
type Body = [
  format: number,
  number: number,
  offset: number,
  duplicates: number,
  conflicts: number,
  entries: EntryRow[],
  contacts: [gateway: string, source: string, wallMs: number][],
  /** `unverified` is absent for a verified mapping, and in data of earlier versions. */
  bootClocks: [gateway: string, bootId: string, offsetMs: number, unverified?: true][],
  /** Of any format: an older version knows no shares. */
  isShared?: true,
];

export function recordsOf({ entries }: Commit): number {
  return entries.reduce((sum, { fresh }) => sum + fresh.size, 0);
}

export function encodeCommit(commit: Commit): Uint8Array {
  const decided = commit.entries.some(({ replaces, aside }) => replaces || aside.some(({ stood }) => stood));
  const removes = commit.entries.some(({ removal }) => removal !== null);
  const body: Body = [
    formatOf(commit, decided, removes),
    commit.number,
    commit.offset,
    commit.duplicates,
    commit.conflicts,
    commit.entries.map((entry) => rowOf(entry, decided, removes)),
    commit.contacts.map(({ gateway, source, lastWallMs }) => [gateway, source, lastWallMs]),
    commit.bootClocks.map(({ gateway, bootId, offsetMs, verified }) =>
      verified ? [gateway, bootId, offsetMs] : [gateway, bootId, offsetMs, true],
    ),
  ];
  if (commit.isShared) body.push(true);
  return encodeCbor(body);
}

function rowOf(entry: CommitEntry, decided: boolean, removes: boolean): EntryRow {
  const row: EntryRow = [
    entry.gateway,
    entry.epoch,
    entry.stream,
    entry.fresh.encode(),
    entry.parts,
    entry.storedBytes,
    encodeGivenUp(entry.givenUp),
    entry.sealedAt,
    entry.duplicates,
    entry.aside.flatMap(({ seq, message }) => [seq, message]),
  ];
  const { proof } = entry;
  const isLong = removes || proof !== null;
  if (decided || isLong) row.push(entry.replaces, stoodOf(entry.aside));
  if (isLong) row.push(entry.removal && removalRow(entry.removal));
  if (proof !== null) row.push([proof.verified, proof.proven.encode(), proof.waived.encode()]);
  return row;
}

function removalRow({ why, ids, gone, aside, moved, bytes }: Removal): RemovalRow {
  return [why, ids.encode(), gone.encode(), aside, moved.encode(), bytes];
}

function removalFrom([why, ids, gone, aside, moved, bytes = 0]: RemovalRow): Removal {
  return {
    why,
    ids: IntervalSet.decode(ids),
    gone: IntervalSet.decode(gone),
    aside,
    moved: IntervalSet.decode(moved),
    bytes,
  };
}

function proofFrom([verified, proven, waived]: ProofRow): ProofChange {
  return { verified, proven: IntervalSet.decode(proven), waived: IntervalSet.decode(waived) };
}

/** Throws when a newer Headgate wrote the message. */
export function decodeCommit(bytes: Uint8Array): Commit {
  const body = decodeCbor(bytes) as Body;
  const [format, number, offset, duplicates, conflicts, entries, contacts, bootClocks, isShared = false] =
    body;
  const known = FORMAT_OF_REASONS;
  if (format < FORMAT || format > known) {
    throw new Error(`written by a newer Headgate (ledger format ${format}, this one knows up to ${known})`);
  }
  return {
    number,
    offset,
    duplicates,
    conflicts,
    entries: entries.map((row) => ({
      gateway: row[0],
      epoch: row[1],
      stream: row[2],
      fresh: IntervalSet.decode(row[3]),
      parts: row[4],
      storedBytes: row[5],
      givenUp: decodeGivenUp(row[6]),
      sealedAt: row[7],
      duplicates: row[8],
      aside: asideFrom(row[9], row[11]),
      replaces: row[10] ?? false,
      removal: row[12] ? removalFrom(row[12]) : null,
      proof: row[13] ? proofFrom(row[13]) : null,
    })),
    contacts: contacts.map(([gateway, source, lastWallMs]) => ({ gateway, source, lastWallMs })),
    bootClocks: bootClocks.map(([gateway, bootId, offsetMs, unverified = false]) => ({
      gateway,
      bootId,
      offsetMs,
      verified: !unverified,
    })),
    isShared,
  };
}

/** The messages of the versions that stood. */
export function stoodOf(aside: readonly Aside[]): number[] {
  return aside.filter(({ stood }) => stood).map(({ message }) => message);
}

/** Decodes a flat list of seqs and messages. */
export function asideFrom(flat: readonly number[], stood: readonly number[] = []): Aside[] {
  const messages = new Set(stood);
  return pairs(flat).map(([seq, message]) => ({ seq, message, stood: messages.has(message) }));
}

/** A flat list as pairs. */
function pairs(flat: readonly number[]): [number, number][] {
  return Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i] ?? 0, flat[2 * i + 1] ?? 0]);
}

/** Null in the usual case without given-up ids. */
function encodeGivenUp(givenUp: GivenUp): EntryRow[6] {
  if (isNothing(givenUp)) return null;
  const reasons = hasLaterReasons(givenUp) ? GAP_REASONS : GAP_REASONS.slice(0, FIRST_REASONS);
  return reasons.map((reason) => givenUp[reason].encode());
}

function decodeGivenUp(row: EntryRow[6]): GivenUp {
  return givenUpOf((reason) => {
    const bytes = row?.[GAP_REASONS.indexOf(reason)];
    return bytes ? IntervalSet.decode(bytes) : IntervalSet.empty();
  });
}

function hasLaterReasons(givenUp: GivenUp): boolean {
  return GAP_REASONS.slice(FIRST_REASONS).some((reason) => givenUp[reason].size > 0);
}

/** The lowest format that can express the commit, so that older replicas can read it. */
function formatOf({ entries }: Commit, decided: boolean, removes: boolean): number {
  if (entries.some(({ givenUp }) => hasLaterReasons(givenUp))) return FORMAT_OF_REASONS;
  if (removes) return FORMAT_OF_REMOVALS;
  return decided ? FORMAT_OF_POLICIES : FORMAT;
}
