/**
 * Notes in the audit log that the configuration or policy is another one than at the last start, or since.
 * The author of the change is not known. Nothing here stops a start (I9).
 */
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../clock.ts';
import { isSecretPath } from '../config/redact.ts';
import { errorText } from '../error-text.ts';
import type { Logger } from '../log.ts';
import { within } from '../within.ts';
import { type AuditLog, auditFolder, digest } from './audit-log.ts';
import { makeAuditFolder } from './files.ts';

/** For the entry: a start does not wait for a disk. */
const NOTE_MS = 2000;
const DIGEST_CHARS = 16;

interface Applied {
  audit: AuditLog;
  dataDir: string;
  /** When the change was found: at a start, or in a running program. */
  via: 'start' | 'reload';
  /** The configuration by section; values that cannot be JSON are left out. */
  sections: Readonly<Record<string, unknown>>;
  clock: Clock;
  log: Logger;
}

/** The first start of a data folder notes nothing. Never rejects. */
export async function noteApplied(applied: Applied): Promise<void> {
  const { clock, log } = applied;
  const noting = note(applied).then(
    () => null,
    (error: unknown) => errorText(error),
  );
  const problem = await within(clock, NOTE_MS, noting, () => `not written in ${NOTE_MS} ms`);
  if (problem !== null) log.error({ event: 'audit.not_written', action: 'config.applied', problem });
}

async function note({ audit, dataDir, via, sections }: Applied): Promise<void> {
  const folder = auditFolder(dataDir);
  const now = digestsOf(sections);
  const file = join(folder, 'applied.json');
  const text = `${JSON.stringify(now)}\n`;
  const known = await readFile(file, 'utf8').catch(() => null);
  if (known === text) return;
  if (known !== null) {
    const before = digestsIn(known);
    const names = Object.keys({ ...before, ...now }).filter((name) => before[name] !== now[name]);
    const [policyBefore, policy] = [before['policy'], now['policy']];
    const digests = policyBefore === policy ? {} : { policy, policyBefore };
    const detail = { sections: names.join(' '), ...digests };
    await audit.note({ who: { via }, action: 'config.applied', target: null, detail });
  }
  // A kill before this notes the change again at the next start.
  await makeAuditFolder(folder);
  await writeFile(`${file}.tmp`, text, { mode: 0o600 });
  await rename(`${file}.tmp`, file);
}

function digestsOf(sections: Readonly<Record<string, unknown>>): Record<string, string> {
  const entries = Object.entries(sections).map(([name, value]): [string, string] => [
    name,
    digest(JSON.stringify([withoutSecrets(value, [name])])).slice(0, DIGEST_CHARS),
  ]);
  return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** A digest of a short secret would tell it to a reader who tries them all. */
function withoutSecrets(value: unknown, path: readonly string[]): unknown {
  if (isSecretPath(path)) return null;
  if (Array.isArray(value)) return value.map((one, at) => withoutSecrets(one, [...path, String(at)]));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([name, one]) => [name, withoutSecrets(one, [...path, name])]);
  return Object.fromEntries(entries);
}

function digestsIn(text: string): Readonly<Record<string, string>> {
  try {
    const value: unknown = JSON.parse(text);
    const entries = Object.entries(typeof value === 'object' && value !== null ? value : {});
    return Object.fromEntries(entries.map(([name, one]) => [name, String(one)]));
  } catch {
    return {}; // Then every section counts as changed.
  }
}
