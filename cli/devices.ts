/**
 * The edits of `headgate device` on the device file. Each function returns the new content, or the reason for
 * a refusal.
 */
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import type { AclRule } from '../agent/broker/access/acl.ts';
import {
  type Device,
  type DeviceFile,
  deviceFilePath,
  editDeviceFile,
  readDeviceFile,
} from '../agent/broker/access/device-file.ts';
import { generatePassword, hashPassword, PASSWORD_BYTES } from '../agent/broker/access/password.ts';
import { isoTime, systemClock } from '../shared/clock.ts';
import { dataDir as folderOption } from '../shared/config/common.ts';
import { makeFolder } from '../shared/config/start-check.ts';
import { systemEntropy } from '../shared/entropy.ts';
import { EXIT, type ExitCode } from '../shared/exit-codes.ts';
import { audited, auditOf, type Named } from './audited.ts';
import { becomeOwner } from './folder-owner.ts';
import { fail } from './output.ts';

/** The place of the device file: a folder, or the `data_dir` of a configuration. */
export interface FileFlags {
  dataDir?: string;
  config?: string;
}

export type Edit = (content: DeviceFile) => DeviceFile | string;

/** A password and its hash for the file. */
export interface Credential {
  password: string;
  hash: string;
}

/** The path, for the user that the process then is; or the exit code after an error message. */
async function locate(flags: FileFlags): Promise<string | ExitCode> {
  const folder = await locateFolder(flags);
  return typeof folder === 'number' ? folder : deviceFilePath(becomeOwner(folder));
}

async function locateFolder({ dataDir, config }: FileFlags): Promise<string | ExitCode> {
  if ((dataDir === undefined) === (config === undefined))
    return fail('give --data-dir <folder> or --config <agent.yaml>', EXIT.usage);
  if (dataDir !== undefined) {
    if (await isFolder(dataDir)) return dataDir;
    return fail(`--data-dir: there is no folder ${dataDir}`, EXIT.usage);
  }
  const { formatProblems, loadSections } = await import('../shared/config/load.ts');
  // Nothing else of the file is needed, least of all the secrets of its providers.
  const loaded = loadSections(config ?? '', z.object({ data_dir: folderOption() }));
  if (loaded.ok) return loaded.config.data_dir;
  return fail(formatProblems(loaded.problems), EXIT.config);
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR'))
      return false;
    throw error;
  }
}

/** Changes the file, and notes the change in the audit log; returns the exit code. */
export async function editDevices(flags: FileFlags, named: Named, edit: Edit): Promise<number> {
  const file = await locate(flags);
  if (typeof file === 'number') return file;
  const folder = dirname(file);
  // With the mode that the agent uses.
  if (flags.config !== undefined) await makeFolder('data_dir', folder);
  return audited(auditOf(folder, 'agent'), named, async () => {
    const result = await editDeviceFile(file, edit);
    return { code: result.ok ? EXIT.ok : fail(result.problem, EXIT.failed) };
  });
}

/** The content of the file, empty for a missing one; or the exit code after an error message. */
export async function readDevices(flags: FileFlags): Promise<DeviceFile | ExitCode> {
  const file = await locate(flags);
  if (typeof file === 'number') return file;
  const reading = await readDeviceFile(file);
  switch (reading.state) {
    case 'ok':
      return reading.content;
    case 'missing':
      return { version: 1, devices: [], groups: [] };
    case 'unreadable':
    case 'corrupt':
      return fail(`${file} is ${reading.state}: ${reading.problem}`, EXIT.failed);
  }
}

/**
 * The given password, or a generated one for null; an error text when the given one is too short or too long.
 */
export async function credential(given: string | null): Promise<Credential | string> {
  const password = given ?? generatePassword(systemEntropy);
  const bytes = Buffer.byteLength(password);
  const { min, max } = PASSWORD_BYTES;
  if (bytes < min || bytes > max) return `a password has ${min} to ${max} bytes`;
  return { password, hash: await hashPassword(password, systemEntropy) };
}

/** The entry of a new device; without a hash it logs in with a certificate only. */
export function newDevice(name: string, hash: string | null, groups: string[]): Device {
  const created = isoTime(systemClock.wallMs());
  return {
    name,
    ...(hash === null ? {} : { password: hash }),
    groups: [...new Set(groups)],
    disabled: false,
    created,
    rules: [],
  };
}

export function addDevices(added: readonly Device[]): Edit {
  return (content) => {
    const names = new Set(content.devices.map(({ name }) => name));
    const twice = added.find(({ name }) => names.has(name));
    if (twice) return `there is a device "${twice.name}" already`;
    return { ...content, devices: [...content.devices, ...added] };
  };
}

export function changeDevice(name: string, change: (device: Device) => Device): Edit {
  return (content) => {
    if (!content.devices.some((device) => device.name === name)) return `there is no device "${name}"`;
    const devices = content.devices.map((device) => (device.name === name ? change(device) : device));
    return { ...content, devices };
  };
}

export function removeDevice(name: string): Edit {
  return (content) => {
    const devices = content.devices.filter((device) => device.name !== name);
    if (devices.length === content.devices.length) return `there is no device "${name}"`;
    return { ...content, devices };
  };
}

export function addGroup(name: string): Edit {
  return (content) => {
    if (content.groups.some((group) => group.name === name)) return `there is a group "${name}" already`;
    return { ...content, groups: [...content.groups, { name, rules: [] }] };
  };
}

export function removeGroup(name: string): Edit {
  return (content) => {
    const groups = content.groups.filter((group) => group.name !== name);
    if (groups.length === content.groups.length) return `there is no group "${name}"`;
    const member = content.devices.find((device) => device.groups.includes(name));
    if (member) return `device "${member.name}" is in group "${name}"`;
    return { ...content, groups };
  };
}

export function changeGroupRules(name: string, change: (rules: AclRule[]) => AclRule[]): Edit {
  return (content) => {
    if (!content.groups.some((group) => group.name === name)) return `there is no group "${name}"`;
    const groups = content.groups.map((group) =>
      group.name === name ? { ...group, rules: change(group.rules) } : group,
    );
    return { ...content, groups };
  };
}

/** Adds or removes a rule. */
export function withRule(rule: AclRule, remove: boolean): (rules: AclRule[]) => AclRule[] {
  return (rules) => {
    const others = rules.filter(({ allow, topic }) => allow !== rule.allow || topic !== rule.topic);
    return remove ? others : [...others, rule];
  };
}
