/**
 * The commands. This file and cli/commands/ only define them; the code of a command is imported when it runs,
 * so that `--help` is instant and `status` does not load three cloud SDKs.
 */
import { Command, CommanderError } from 'commander';
import { EXIT, type ExitCode } from '../shared/exit-codes.ts';
import { StartRefused } from '../shared/start-refused.ts';
import { packageVersion } from '../shared/version.ts';
import { addAgentCommand } from './commands/agent.ts';
import { addAuditCommand } from './commands/audit.ts';
import { addClientsCommand } from './commands/clients.ts';
import { addCloudsCommand } from './commands/clouds.ts';
import { addConfigCommand } from './commands/config.ts';
import { addCostsCommand } from './commands/costs.ts';
import { addDeadLetterCommand } from './commands/deadletter.ts';
import { addDemoCommand } from './commands/demo.ts';
import { addDeviceCommand } from './commands/device.ts';
import { addExplainCommand } from './commands/explain.ts';
import { addFeedsCommand } from './commands/feeds.ts';
import { addFleetCommand } from './commands/fleet.ts';
import { addHoldCommand } from './commands/hold.ts';
import { addKeysCommand } from './commands/keys.ts';
import { addLedgerCommands } from './commands/ledger.ts';
import { addRouterCommand } from './commands/router.ts';
import { addSimulateCommand } from './commands/simulate.ts';
import { addStatusCommand } from './commands/status.ts';
import { addWhereCommand } from './commands/where.ts';
import { fail, thrownText } from './output.ts';
import { onTerminal, type Terminal, terminal } from './terminal.ts';

/** Runs the command in `argv` (as `process.argv`); leaves its exit code in `where`. Never rejects. */
export async function run(argv: readonly string[], where: Terminal): Promise<void> {
  await onTerminal(where, async () => {
    try {
      await buildProgram().parseAsync([...argv]);
    } catch (error) {
      where.exitCode = report(error);
    }
  });
}

/** All commands; nothing of their code is loaded. */
export function buildProgram(): Command {
  const program = new Command('headgate')
    .description('Edge-to-multi-cloud telemetry gateway.')
    .version(packageVersion())
    .exitOverride()
    .showHelpAfterError('(--help shows the usage)')
    .configureOutput({
      writeOut: (text) => terminal().stdout.write(text),
      writeErr: (text) => terminal().stderr.write(text),
      outputError: (text, write) => write(text.replace(/^error: /, 'headgate: ')),
    })
    .addHelpText(
      'after',
      '\nExit codes: 0 ok, 1 failed, 2 usage, 69 nobody answers, 70 internal, 78 configuration.',
    );
  addAgentCommand(program);
  addRouterCommand(program);
  addCloudsCommand(program);
  addDemoCommand(program);
  addStatusCommand(program);
  addClientsCommand(program);
  addLedgerCommands(program);
  addFeedsCommand(program);
  addDeadLetterCommand(program);
  addExplainCommand(program);
  addHoldCommand(program);
  addWhereCommand(program);
  addSimulateCommand(program);
  addCostsCommand(program);
  addDeviceCommand(program);
  addKeysCommand(program);
  addAuditCommand(program);
  addFleetCommand(program);
  addConfigCommand(program);
  return program;
}

/** Prints the error in one line (with its stack when HEADGATE_DEBUG is set); returns its exit code. */
export function report(error: unknown): ExitCode {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (terminal().env['HEADGATE_DEBUG'] && error instanceof Error) terminal().stderr.write(`${error.stack}\n`);
  const text = thrownText(error);
  if (error instanceof StartRefused) return fail(text, error.exitCode);
  // A refusal by the operating system or SQLite (a port in use, a folder without permission) is not a bug.
  const code: unknown = error instanceof Error && 'code' in error ? error.code : null;
  if (typeof code === 'string' && !code.startsWith('ERR_')) return fail(text, EXIT.failed);
  return fail(`internal error: ${text} (HEADGATE_DEBUG=1 shows where)`, EXIT.internal);
}
