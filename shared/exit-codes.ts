/**
 * Exit codes of every headgate command (docs/reference/cli.md). 69, 70 and 78 are those of BSD's sysexits.h;
 * systemd does not restart on 78 (`RestartPreventExitStatus=78` in systemd/*.service), because a restart does
 * not fix a configuration.
 */
export const EXIT = {
  ok: 0,
  /** The command ran without success: a port in use, a failed verdict of the demo. */
  failed: 1,
  /** Wrong flags or arguments. */
  usage: 2,
  /** EX_UNAVAILABLE: no answer from the admin or control address. */
  unavailable: 69,
  /** EX_SOFTWARE: a bug in headgate. */
  internal: 70,
  /** EX_CONFIG: an error in the configuration, or a Node.js that is too old. */
  config: 78,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export function isExitCode(code: number): code is ExitCode {
  return Object.values(EXIT).some((known) => known === code);
}
