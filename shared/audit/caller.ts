/** The user who runs a command, for the audit log. */
import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { type Facts, factsOf } from './core/entry.ts';

/** Of a process that nobody logged in for; audit(7) of Linux. */
const NO_LOGIN = 4_294_967_295;

/**
 * `user` and `uid` of this process at its start; `sudo` and `login`, the user and uid of the login that
 * became root, as sudo and the kernel tell. A command as root becomes the owner of a folder later, so this
 * is read before.
 */
const AT_START = { uid: process.getuid?.() ?? null, user: userName(), login: loginUid() };

/** `env`: of the command line, for SUDO_USER, which counts for root alone. */
export function caller(env: Readonly<Record<string, string | undefined>>): Facts {
  const { uid, user, login } = AT_START;
  return factsOf({ via: 'command', user, uid, sudo: uid === 0 ? env['SUDO_USER'] : null, login });
}

/** The header in which a command tells an admin server who runs it. Any program may say anything. */
export const USER_HEADER = 'x-headgate-user';

/** Its value: printable ASCII. */
export function userText(env: Readonly<Record<string, string | undefined>>): string {
  const { user = '?', sudo }: Partial<Facts> = caller(env);
  const text = sudo === undefined ? `${user}` : `${user}, sudo of ${sudo}`;
  return text.replaceAll(/[^ -~]/g, '?');
}

function userName(): string | null {
  try {
    return userInfo().username;
  } catch {
    return null; // A uid without an entry in the system's list of users.
  }
}

function loginUid(): number | null {
  try {
    const uid = Number(readFileSync('/proc/self/loginuid', 'utf8'));
    return uid === NO_LOGIN ? null : uid;
  } catch {
    return null; // A kernel without audit.
  }
}
