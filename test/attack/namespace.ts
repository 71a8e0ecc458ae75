/**
 * Attacks on an address that is not this machine's loopback: played by another run, in a network namespace
 * whose one interface has that address. Only root may make one.
 */
import { spawnSync } from 'node:child_process';
import { networkInterfaces } from 'node:os';
import { fileURLToPath } from 'node:url';

export const NAMESPACE_ADDRESS = '10.77.9.1';
const RUN = fileURLToPath(new URL('./run.ts', import.meta.url));
const SCRIPT = `ip link set lo up && ip address add ${NAMESPACE_ADDRESS}/32 dev lo && exec "$@"`;

/** Whether this user and machine may make one. */
export function mayMakeNamespace(): boolean {
  return spawnSync('unshare', ['--net', 'true'], { stdio: 'ignore' }).status === 0;
}

/** Whether this process is in such a namespace. */
export function isInNamespace(): boolean {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return all.some(({ address }) => address === NAMESPACE_ADDRESS);
}

/** Runs the attacks there; they print as they do here. Whether all held. */
export function inNamespace(args: readonly string[]): boolean {
  const run = [process.execPath, RUN, ...args, '--address', NAMESPACE_ADDRESS];
  return spawnSync('unshare', ['--net', 'sh', '-c', SCRIPT, 'sh', ...run], { stdio: 'inherit' }).status === 0;
}
