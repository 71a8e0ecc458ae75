/**
 * One entry of the audit log, and its one text. An entry holds the hash of the entry before it, so that none
 * can be changed, taken out or put elsewhere without a new hash for all that follow.
 *
 * A line is the JSON of the entry with the keys in the order below, those of `who` and `detail` ascending,
 * without characters that act on a terminal, and the hash as the last key. `hash` is the SHA-256, in
 * hexadecimal, of `headgate audit 1`, a newline, and that JSON without the hash.
 */

/**
 * `begun` is written before a change, `done`, `refused` or `failed` after it, with the number of the begun
 * entry in `of`. `noted` stands alone: a change found in force, or one of the log itself.
 */
export type Phase = 'begun' | 'done' | 'refused' | 'failed' | 'noted';

/** Facts without a structure: texts of at most TEXT_CHARS_MAX characters, numbers, truth values. */
export type Facts = Readonly<Record<string, string | number | boolean>>;

/** The facts of an entry that its writer gives. */
export interface Draft {
  /** `via`: `command`, `http` or `start`; then the user, uid or address, as far as they are known. */
  who: Facts;
  /** The command's name with dots: `device.add`. */
  action: string;
  /** The name of the device, provider, feed, key or record set; null where there is none. */
  target: string | null;
  phase: Phase;
  of: number | null;
  detail: Facts;
}

export interface Entry extends Draft {
  /** Random name of the log, made with its first entry: 16 hexadecimal digits. */
  log: string;
  /** 1 for the first entry of a log; dense. */
  seq: number;
  /** Wall-clock time, ISO 8601 UTC: informational, the order is that of `seq`. */
  at: string;
  program: string;
  /** Hash of the entry before it; NO_HASH for the first. */
  prev: string;
}

export interface ChainedEntry {
  entry: Entry;
  hash: string;
  /** The line without its newline. */
  line: string;
}

/** SHA-256 of the UTF-8 bytes of a text, in hexadecimal. */
export type Digest = (text: string) => string;

export const NO_HASH = '0'.repeat(64);
const TEXT_CHARS_MAX = 256;
/** A longer line is none. */
export const LINE_BYTES_MAX = 8192;
const FACTS_MAX = 16;
const DOMAIN = 'headgate audit 1\n';
/** JSON.stringify escapes C0 alone; the others would act on a terminal, where lines are shown too. */
const ESCAPED = /[\u007f-\u009f\p{Bidi_Control}\u2028\u2029]/gu;
const HASH = /^[0-9a-f]{64}$/;
const LOG = /^[0-9a-f]{16}$/;
const ACTION = /^[a-z][a-z-]*(\.[a-z][a-z-]*){0,3}$/;
const PHASES: readonly unknown[] = ['begun', 'done', 'refused', 'failed', 'noted'] satisfies Phase[];

export function chained(entry: Entry, digest: Digest): ChainedEntry {
  const text = textOf(entry);
  const hash = digest(DOMAIN + text);
  return { entry, hash, line: `${text.slice(0, -1)},"hash":"${hash}"}` };
}

/** The entry of a line, or the problem of the line. The hash of the entry before it is not checked here. */
export function parsedLine(line: string, digest: Digest): ChainedEntry | { problem: string } {
  if (line.length > LINE_BYTES_MAX) return { problem: 'longer than an entry' };
  const value = jsonOf(line);
  const entry = entryOf(value);
  if (entry === null) return { problem: 'not an entry' };
  const found = chained(entry, digest);
  if (found.line === line) return found;
  const told = value['hash'];
  if (typeof told !== 'string' || !HASH.test(told)) return { problem: 'an entry without a hash' };
  return { problem: 'the hash is not that of the entry: it was edited' };
}

/** Facts as an entry holds them: bounded, undefined and null left out. */
export function factsOf(
  given: Readonly<Record<string, string | number | boolean | null | undefined>>,
): Facts {
  const facts = Object.entries(given).flatMap(([key, value]): Array<[string, string | number | boolean]> => {
    if (value === null || value === undefined) return [];
    return [[key, typeof value === 'string' ? bounded(value) : value]];
  });
  return Object.fromEntries(facts.slice(0, FACTS_MAX));
}

export function bounded(text: string): string {
  const wellFormed = text.toWellFormed();
  return wellFormed.length <= TEXT_CHARS_MAX
    ? wellFormed
    : `${wellFormed.slice(0, TEXT_CHARS_MAX - 1).toWellFormed()}…`;
}

function textOf({ log, seq, at, program, who, action, target, phase, of, detail, prev }: Entry): string {
  const [sortedWho, sortedDetail] = [sorted(who), sorted(detail)];
  const text = JSON.stringify({
    ...{ log, seq, at, program, who: sortedWho, action, target, phase, of },
    ...{ detail: sortedDetail, prev },
  });
  return text.replace(ESCAPED, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function sorted(facts: Facts): Facts {
  return Object.fromEntries(Object.entries(facts).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

type Value = Readonly<Record<string, unknown>>;

function entryOf(value: Value): Entry | null {
  const { log, seq, at, program, who, action, target, phase, of, detail, prev } = value;
  if (!isText(log, LOG) || !isText(at) || !isText(program) || !isText(action, ACTION)) return null;
  if (!isText(prev, HASH) || !isCount(seq) || !isPhase(phase) || !isFacts(who) || !isFacts(detail))
    return null;
  if ((of !== null && !isCount(of)) || (target !== null && !isText(target))) return null;
  return { log, seq, at, program, who, action, target, phase, of, detail, prev };
}

function isText(value: unknown, pattern = /^/): value is string {
  return typeof value === 'string' && value.length <= TEXT_CHARS_MAX && pattern.test(value);
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 1;
}

function isPhase(value: unknown): value is Phase {
  return PHASES.includes(value);
}

function isFacts(value: unknown): value is Facts {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const values = Object.values(value);
  return (
    values.length <= FACTS_MAX &&
    values.every((one) => typeof one === 'number' || typeof one === 'boolean' || isText(one))
  );
}

function jsonOf(line: string): Value {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? { ...value } : {};
  } catch {
    return {}; // Then it is no entry.
  }
}
