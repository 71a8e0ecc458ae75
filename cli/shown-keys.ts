/** The output of `headgate keys`, of keys that sign and of keys that open. */
import { EXIT, type ExitCode } from '../shared/exit-codes.ts';
import { fail, printJson, printLine } from './output.ts';

interface Shown {
  keyId: string;
  file: string;
  publicKey: string;
}

export interface Showing<Key extends Shown> {
  /** `key`, `seal key`. */
  noun: string;
  /** The key that is meant where none is named. */
  isDefault: (key: Key) => boolean;
  /** Its state in a word. */
  stateOf: (key: Key) => string;
  json: boolean | undefined;
}

export async function listShown<Key extends Shown>(
  keys: readonly Key[],
  { noun, stateOf, json }: Showing<Key>,
): Promise<ExitCode> {
  if (json) printJson(keys);
  else {
    const { table } = await import('./format.ts');
    const rows = keys.map((key) => [key.keyId, stateOf(key), key.file]);
    printLine(table([noun.toUpperCase(), 'STATE', 'FILE'], rows));
  }
  return EXIT.ok;
}

export function showOne<Key extends Shown>(
  keys: readonly Key[],
  keyId: string | undefined,
  { noun, isDefault, json }: Showing<Key>,
): ExitCode {
  const found = keys.find((key) => (keyId === undefined ? isDefault(key) : key.keyId === keyId));
  if (!found) return fail(`there is no ${noun}${keyId === undefined ? '' : ` ${keyId}`}`, EXIT.failed);
  if (json) printJson(found);
  else printLine(`${noun} ${found.keyId}\n${found.publicKey.trimEnd()}`);
  return EXIT.ok;
}
