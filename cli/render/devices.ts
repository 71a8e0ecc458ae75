/** `headgate device ls` and `headgate device group ls`. */
import type { DeviceFile } from '../../agent/broker/access/device-file.ts';
import { table } from '../format.ts';

export function renderDevices({ devices }: DeviceFile): string {
  const rows = devices.map(({ name, password, groups, disabled, rules, created }) => [
    name,
    disabled ? 'disabled' : 'enabled',
    password === undefined ? 'certificate' : 'password',
    groups.join(' '),
    rulesText(rules),
    created,
  ]);
  return table(['DEVICE', 'STATE', 'LOGIN', 'GROUPS', 'RULES', 'CREATED'], rows);
}

export function renderGroups({ devices, groups }: DeviceFile): string {
  const members = (group: string): number => devices.filter((device) => device.groups.includes(group)).length;
  const rows = groups.map(({ name, rules }) => [name, String(members(name)), rulesText(rules)]);
  return table(['GROUP', 'DEVICES', 'RULES'], rows);
}

function rulesText(rules: readonly { allow: string; topic: string }[]): string {
  return rules.map(({ allow, topic }) => `${allow} ${topic}`).join(', ') || '–';
}
