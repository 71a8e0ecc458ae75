/**
 * `<data_dir>/devices.json`: the devices that may connect, and their rules. The `headgate device` command
 * writes the file and a running agent follows it. The file holds password hashes, so only its owner may read
 * it. It is replaced as a whole: a reader sees the old file or the new one. The temporary file beside it is
 * also the lock between two writers.
 */
import { type FileHandle, open, readFile, rename, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { identifier } from '../../../shared/config/kinds.ts';
import { topicFilterProblem } from '../../../shared/policy/topic-filter.ts';
import { syncFolder } from '../../../shared/sync-folder.ts';
import { PASSWORD_HASH_PATTERN } from './password.ts';

/**
 * A device's name is its username and the beginning of its client id. The name becomes a topic level, so it
 * holds no `/`, `+` or `#`.
 */
export const DEVICE_NAME_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}$/;

const deviceName = z
  .string()
  .regex(
    DEVICE_NAME_PATTERN,
    'expected 1–64 of A–Z, a–z, 0–9, ".", "_", ":", "@" or "-", starting with a letter or digit',
  );

const rules = z
  .array(
    z.strictObject({
      allow: z.enum(['publish', 'subscribe', 'both']),
      topic: z.string().superRefine((topic, context) => {
        const message = topicFilterProblem(topic);
        if (message !== null) context.addIssue({ code: 'custom', message });
      }),
    }),
  )
  .max(64)
  .default([]);

const deviceSchema = z.strictObject({
  name: deviceName,
  /** Without it, the device logs in with a certificate only. */
  password: z.string().regex(PASSWORD_HASH_PATTERN, 'expected a password hash').optional(),
  groups: z.array(identifier()).max(16).default([]),
  disabled: z.boolean().default(false),
  /** ISO 8601; informational. */
  created: z.string(),
  rules,
});

const fileSchema = z
  .strictObject({
    version: z.literal(1),
    devices: z.array(deviceSchema).max(100_000),
    groups: z.array(z.strictObject({ name: identifier(), rules })).max(1000),
  })
  .superRefine(({ devices, groups }, context) => {
    const issue = (message: string): void => context.addIssue({ code: 'custom', message });
    const known = new Set(groups.map(({ name }) => name));
    if (known.size < groups.length) issue('two groups have the same name');
    if (new Set(devices.map(({ name }) => name)).size < devices.length)
      issue('two devices have the same name');
    for (const device of devices) {
      const unknown = device.groups.find((group) => !known.has(group));
      if (unknown !== undefined) issue(`device "${device.name}": there is no group "${unknown}"`);
    }
  });

export type DeviceFile = z.output<typeof fileSchema>;
export type Device = z.output<typeof deviceSchema>;

/**
 * `missing`: there is no file. `unreadable`: the system refuses the read. `corrupt`: not JSON, or not valid
 * by the schema.
 */
export type DeviceFileState = 'ok' | 'missing' | 'unreadable' | 'corrupt';

type DeviceFileReading =
  | { state: 'ok'; content: DeviceFile }
  | { state: Exclude<DeviceFileState, 'ok'>; problem: string };

/** Longest file that is read: enough for 100 000 devices. */
const FILE_BYTES_MAX = 64 * 2 ** 20;

export function deviceFilePath(dataDir: string): string {
  return join(dataDir, 'devices.json');
}

/** Never rejects. The answer never quotes the file, which holds secrets. */
export async function readDeviceFile(file: string): Promise<DeviceFileReading> {
  let text: string;
  try {
    const { size } = await stat(file);
    if (size > FILE_BYTES_MAX) return { state: 'corrupt', problem: `longer than ${FILE_BYTES_MAX} bytes` };
    text = await readFile(file, 'utf8');
  } catch (error) {
    const code = codeOf(error);
    return { state: code === 'ENOENT' ? 'missing' : 'unreadable', problem: code };
  }
  const checked = checkDeviceFile(jsonOf(text));
  return checked.ok
    ? { state: 'ok', content: checked.content }
    : { state: 'corrupt', problem: checked.problem };
}

/**
 * Reads the file (an empty one where there is none), hands it to `edit`, and writes the result. When `edit`
 * returns a text, or a file that does not pass the schema, this is the problem and nothing is written.
 * Rejects when the system refuses the write.
 */
export async function editDeviceFile(
  file: string,
  edit: (content: DeviceFile) => DeviceFile | string,
): Promise<{ ok: true } | { ok: false; problem: string }> {
  const temporary = `${file}.tmp`;
  const handle = await openNew(temporary);
  if (handle === null) {
    return { ok: false, problem: `another command writes ${file}; if none does, remove ${temporary}` };
  }
  try {
    const read = await readDeviceFile(file);
    if (read.state !== 'ok' && read.state !== 'missing') return given(temporary, handle, read.problem, file);
    const before = read.state === 'ok' ? read.content : fileSchema.parse(EMPTY);
    const edited = edit(before);
    if (typeof edited === 'string') return given(temporary, handle, edited);
    const checked = checkDeviceFile(edited);
    if (!checked.ok) return given(temporary, handle, checked.problem);
    await handle.writeFile(`${JSON.stringify(checked.content, null, 2)}\n`);
    await handle.sync();
    await handle.close();
    await rename(temporary, file);
    await syncFolder(dirname(file));
    return { ok: true };
  } catch (error) {
    await unlink(temporary).catch(() => undefined); // The first error is the useful one.
    throw error;
  }
}

const EMPTY: DeviceFile = { version: 1, devices: [], groups: [] };

async function given(
  temporary: string,
  handle: FileHandle,
  problem: string,
  file?: string,
): Promise<{ ok: false; problem: string }> {
  await handle.close();
  await unlink(temporary);
  return { ok: false, problem: file === undefined ? problem : `${file}: ${problem}` };
}

function checkDeviceFile(value: unknown): { ok: true; content: DeviceFile } | { ok: false; problem: string } {
  const parsed = fileSchema.safeParse(value);
  if (parsed.success) return { ok: true, content: parsed.data };
  const [issue] = parsed.error.issues;
  const path = issue?.path.join('.') ?? '';
  return { ok: false, problem: `${path === '' ? '' : `${path}: `}${issue?.message ?? 'not a device file'}` };
}

/** Undefined when the text is not JSON. The parser's own message would quote the text. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // The schema then reports the expected form.
  }
}

async function openNew(file: string): Promise<FileHandle | null> {
  try {
    return await open(file, 'wx', 0o600);
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return null;
    throw error;
  }
}

function codeOf(error: unknown): string {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : null;
  return typeof code === 'string' ? code : 'unknown error';
}
