/**
 * Which ledger this router had, and how far that had come, in a file of `data_dir`: a server that lost the
 * whole ledger, or holds an older copy or another one, looks like a new one by itself. (SQLite keeps the same
 * in `ledger.db.lock`.)
 */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { errorCode } from '../../shared/config/references.ts';
import { EXIT } from '../../shared/exit-codes.ts';
import { errorText } from '../../shared/log.ts';
import type { SparseLog } from '../../shared/sparse-log.ts';
import { StartRefused } from '../../shared/start-refused.ts';

const FILE = 'ledger-seen.json';

const remembered = z.object({ id: z.string(), position: z.number() });
const content = z.record(z.string(), remembered);

/** A ledger, and how far it has come: an offset, or the number of its last commit. */
export type Remembered = z.output<typeof remembered>;

export class LedgerMemory {
  readonly #folder: string;
  readonly #name: string;
  readonly #known: Remembered | null;
  readonly #log: Pick<SparseLog, 'warn'>;

  /** `name`: engine and ledger, such as `postgres headgate`. Throws StartRefused for a damaged file. */
  constructor(folder: string, name: string, log: Pick<SparseLog, 'warn'>) {
    this.#folder = folder;
    this.#name = name;
    this.#log = log;
    this.#known = read(folder)[name] ?? null;
  }

  /** Whether there was one: then nothing may be made in its place. */
  get isKnown(): boolean {
    return this.#known !== null;
  }

  /** Throws StartRefused where `found`, null for no ledger at all, is not the one that was here. */
  expect(found: Remembered | null): void {
    const known = this.#known;
    if (known !== null && found === null) throw this.#refusal('it is gone');
    if (known !== null && found !== null) {
      if (known.id !== found.id) throw this.#refusal('it is another ledger');
      if (found.position < known.position) {
        const [ends, came] = [found.position, known.position];
        throw this.#refusal(`it ends at ${ends}, and had come to ${came}: an older copy`);
      }
    }
    if (found !== null) this.note(found);
  }

  /** Remembers how far the ledger has come. Never throws: a disk that refuses costs the note alone. */
  note(found: Remembered): void {
    try {
      write(this.#folder, { ...read(this.#folder), [this.#name]: found });
    } catch (error) {
      this.#log.warn('ledger.not_noted', { file: join(this.#folder, FILE), error: errorText(error) });
    }
  }

  #refusal(what: string): StartRefused {
    return new StartRefused(
      `ledger ${this.#name} is not the one that this router had: ${what}. Restore that one, or go on as it is now with: headgate ledger accept --config <router.yaml>`,
      EXIT.config,
    );
  }
}

/** Forgets which ledger of this name was here. False when none was known. */
export function forgetLedger(folder: string, name: string): boolean {
  const { [name]: known, ...others } = read(folder);
  if (known === undefined) return false;
  write(folder, others);
  return true;
}

function read(folder: string): Record<string, Remembered> {
  const file = join(folder, FILE);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return {};
    throw error;
  }
  const parsed = content.safeParse(parseJson(text));
  if (parsed.success) return parsed.data;
  throw new StartRefused(
    `${file} is damaged: it says which ledger was here; remove it to go on with the ledger as it is now`,
    EXIT.config,
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Whole or not at all, also over a power cut. */
function write(folder: string, known: Record<string, Remembered>): void {
  const file = join(folder, FILE);
  const descriptor = openSync(`${file}.new`, 'w', 0o640);
  try {
    writeSync(descriptor, `${JSON.stringify(known, null, 2)}\n`);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  renameSync(`${file}.new`, file);
}
