/**
 * Where the store can be cut off. Each point lies between two steps of the real store on a real file: SQLite
 * is not cut within a statement, its own tests do that (sqlite.org/testing.html), and random kills of the
 * whole agent do (../cycles.ts).
 */

export type CrashPoint =
  /** A new file: WAL is on, there is no table. */
  | 'create/after-wal'
  | 'create/before-schema-commit'
  | 'create/after-schema-commit'
  | 'epoch/before-begin'
  | 'epoch/before-commit'
  | 'epoch/after-commit'
  | 'open/before-answer'
  | 'append/before-begin'
  | 'append/after-insert'
  /** The broker's state of a QoS 2 publish is stored with its record. */
  | 'append/after-session'
  | 'append/before-commit'
  | 'append/after-commit'
  | 'append/before-answer'
  /** The store has answered; the broker has sent nothing. */
  | 'append/before-puback'
  | 'accept/before-begin'
  | 'accept/after-delete'
  | 'accept/before-commit'
  | 'accept/after-commit'
  | 'accept/before-answer'
  | 'give-up/after-gap'
  | 'give-up/before-commit'
  | 'give-up/after-commit'
  | 'vacuum/before'
  | 'vacuum/after'
  | 'close/before'
  | 'close/after';

/** The phases of a run of the store, in this order; the crash is armed at the beginning of one. */
export type Phase = 'open' | 'append' | 'accept' | 'give-up' | 'vacuum' | 'close';

/** A step of the store's thread: the beginning of an SQL text, or one of three that are none. */
export interface Step {
  edge: 'before' | 'after';
  step: string;
}

/** The answer to the main thread; the closing of the file; the answer's arrival in the main thread. */
export const ANSWER = '(answer)';
export const CLOSE = '(close)';
export const ANSWERED = '(answered)';

export interface CrashCase extends Step {
  phase: Phase;
  /** On a file that does not exist yet; else on one that an earlier life left, killed too. */
  fresh?: true;
  /**
   * The traces of the life that was cut off, which must be found: its epoch's number is spent, its batch, its
   * acceptance, its gap.
   */
  durable: { epoch: boolean; batch: boolean; acceptance: boolean; gap: boolean };
  property: string;
}

const NOTHING = { epoch: false, batch: false, acceptance: false, gap: false };
const EPOCH = { ...NOTHING, epoch: true };
const BATCH = { ...EPOCH, batch: true };
const ACCEPTANCE = { ...BATCH, acceptance: true };
const ALL = { ...ACCEPTANCE, gap: true };

export const CRASH_CASES: Readonly<Record<CrashPoint, CrashCase>> = {
  'create/after-wal': {
    ...{ phase: 'open', fresh: true, edge: 'after', step: 'PRAGMA journal_mode = WAL', durable: NOTHING },
    property: 'a file without tables is taken for a new one, not for a damaged one',
  },
  'create/before-schema-commit': {
    ...{ phase: 'open', fresh: true, edge: 'before', step: 'COMMIT', durable: NOTHING },
    property: 'tables are there all or none',
  },
  'create/after-schema-commit': {
    ...{ phase: 'open', fresh: true, edge: 'after', step: 'COMMIT', durable: NOTHING },
    property: 'tables without an epoch are an empty buffer',
  },
  'epoch/before-begin': {
    ...{ phase: 'open', edge: 'before', step: 'BEGIN', durable: NOTHING },
    property: 'opening alone changes nothing of what was acknowledged',
  },
  'epoch/before-commit': {
    ...{ phase: 'open', edge: 'before', step: 'COMMIT', durable: NOTHING },
    property: 'an epoch that did not become durable gave no id; the next has its number and another suffix',
  },
  'epoch/after-commit': {
    ...{ phase: 'open', edge: 'after', step: 'COMMIT', durable: EPOCH },
    property: 'an epoch that nobody learned of is spent: its number is not given again',
  },
  'open/before-answer': {
    ...{ phase: 'open', edge: 'before', step: ANSWER, durable: EPOCH },
    property: 'an epoch that nobody learned of is spent, also when all is loaded',
  },
  'append/before-begin': {
    ...{ phase: 'append', edge: 'before', step: 'BEGIN', durable: EPOCH },
    property: 'what was not committed was not acknowledged, and leaves no trace',
  },
  'append/after-insert': {
    ...{ phase: 'append', edge: 'after', step: 'INSERT INTO chunk', durable: EPOCH },
    property: 'a chunk without its counter is none: the device sends it again',
  },
  'append/after-session': {
    ...{ phase: 'append', edge: 'after', step: 'INSERT OR REPLACE INTO session_item', durable: EPOCH },
    property: 'a packet id without its record is not remembered: the device sends both again',
  },
  'append/before-commit': {
    ...{ phase: 'append', edge: 'before', step: 'COMMIT', durable: EPOCH },
    property: 'rows and counters that are written and not committed are not there',
  },
  'append/after-commit': {
    ...{ phase: 'append', edge: 'after', step: 'COMMIT', durable: BATCH },
    property:
      'committed rows stay, though no device was told: a second record when it sends again, never a hole',
  },
  'append/before-answer': {
    ...{ phase: 'append', edge: 'before', step: ANSWER, durable: BATCH },
    property: 'the same, when the thread was about to answer',
  },
  'append/before-puback': {
    ...{ phase: 'append', edge: 'after', step: ANSWERED, durable: BATCH },
    property: 'the same, when the PUBACK was about to leave: it never leaves before the row is there',
  },
  'accept/before-begin': {
    ...{ phase: 'accept', edge: 'before', step: 'BEGIN', durable: BATCH },
    property:
      'a row whose acceptance is not committed is still there, and is delivered again under its old id',
  },
  'accept/after-delete': {
    ...{ phase: 'accept', edge: 'after', step: 'DELETE FROM chunk', durable: BATCH },
    property: 'a deletion without its bookkeeping is undone',
  },
  'accept/before-commit': {
    ...{ phase: 'accept', edge: 'before', step: 'COMMIT', durable: BATCH },
    property: 'a deletion with its bookkeeping is undone too, until it is committed',
  },
  'accept/after-commit': {
    ...{ phase: 'accept', edge: 'after', step: 'COMMIT', durable: ACCEPTANCE },
    property: 'a freed row stays away, its id with it, and its neighbours stay',
  },
  'accept/before-answer': {
    ...{ phase: 'accept', edge: 'before', step: ANSWER, durable: ACCEPTANCE },
    property: 'the same, when the thread was about to answer',
  },
  'give-up/after-gap': {
    ...{ phase: 'give-up', edge: 'after', step: 'INSERT INTO gap', durable: ACCEPTANCE },
    property: 'a gap that is not committed is none, and its record is still there',
  },
  'give-up/before-commit': {
    ...{ phase: 'give-up', edge: 'before', step: 'COMMIT', durable: ACCEPTANCE },
    property: 'a record and the gap in its place change together',
  },
  'give-up/after-commit': {
    ...{ phase: 'give-up', edge: 'after', step: 'COMMIT', durable: ALL },
    property: 'a record that was given up is a gap, and nothing else',
  },
  'vacuum/before': {
    ...{ phase: 'vacuum', edge: 'before', step: 'PRAGMA incremental_vacuum', durable: ALL },
    property: 'unused pages are kept for another time',
  },
  'vacuum/after': {
    ...{ phase: 'vacuum', edge: 'after', step: 'PRAGMA incremental_vacuum', durable: ALL },
    property: 'moving pages moves no record',
  },
  'close/before': {
    ...{ phase: 'close', edge: 'before', step: CLOSE, durable: ALL },
    property: 'a log that is not yet copied into the file counts',
  },
  'close/after': {
    ...{ phase: 'close', edge: 'after', step: CLOSE, durable: ALL },
    property: 'a closed file is whole without its log',
  },
};
