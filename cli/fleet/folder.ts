/** A fleet folder: what lies where, and the schemas of what people write in it. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { identifier } from '../../shared/config/kinds.ts';
import { errorCode } from '../../shared/config/references.ts';
import { GROUP_OF_ALL } from '../../shared/fleet/core/acceptance.ts';
import { ENVELOPE_CHARS_MAX } from '../../shared/fleet/core/limits.ts';

/** Names in a fleet folder. */
export const PLACES = {
  roots: 'root',
  policy: 'policy.yaml',
  groups: 'groups',
  gateways: 'gateways',
  signed: 'signed',
} as const;

const LABELS_MAX = 64;
const GROUPS_MAX = 64;
/** More files of one folder are not read (I10). */
const FILES_MAX = 100_000;

/** `groups/<name>.yaml`. */
export const groupSchema = z.strictObject({
  note: z.string().max(500).default('').describe('What the group is for.'),
});

/** `gateways/<name>.yaml`. Only an operator writes it: nothing that a gateway says of itself gets in. */
export function gatewaySchema(groups: readonly string[]) {
  return z.strictObject({
    labels: z
      .record(identifier(), z.string().max(100))
      .default({})
      .refine((labels) => Object.keys(labels).length <= LABELS_MAX, `at most ${LABELS_MAX} labels`),
    groups: z
      .array(identifier())
      .max(GROUPS_MAX)
      .default([])
      .superRefine((named, context) => {
        for (const [index, name] of named.entries()) {
          if (groups.includes(name)) continue;
          const hint =
            name === GROUP_OF_ALL
              ? 'leave it out: every gateway is a member'
              : `write ${PLACES.groups}/${name}.yaml, or use one of: ${groups.join(', ') || 'none yet'}`;
          const message = name === GROUP_OF_ALL ? 'names the group of all' : 'no group has this name';
          context.addIssue({ code: 'custom', path: [index], message, params: { hint } });
        }
      }),
  });
}

/** The files of a folder with this extension, in order of their names; none of a missing folder. */
export async function filesOf(folder: string, extension: string): Promise<string[]> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
  const numbered = new Intl.Collator('en', { numeric: true });
  return names
    .filter((name) => name.endsWith(extension))
    .sort(numbered.compare)
    .slice(0, FILES_MAX)
    .map((name) => join(folder, name));
}

/** `eu` of `groups/eu.yaml`. */
export function nameOf(file: string): string {
  return basename(file).replace(/\.[a-z]+$/, '');
}

export async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/** A file that may be an envelope. Never rejects; a longer file is not read. */
export async function readEnvelopeFile(file: string): Promise<{ text: string } | { problem: string }> {
  try {
    const found = await stat(file);
    // A pipe would be waited for.
    if (!found.isFile()) return { problem: 'not a file' };
    const { size } = found;
    if (size > ENVELOPE_CHARS_MAX) return { problem: `longer than ${ENVELOPE_CHARS_MAX} bytes` };
    return { text: await readFile(file, 'utf8') };
  } catch (error) {
    return { problem: `cannot be read (${errorCode(error)})` };
  }
}
