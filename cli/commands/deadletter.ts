import type { Command } from 'commander';
import { EXIT } from '../../shared/exit-codes.ts';
import { fail } from '../output.ts';
import { runConfigured } from '../run-configured.ts';
import { terminal } from '../terminal.ts';

type Commands = typeof import('../dead-letters.ts');

interface Flags {
  config: string;
  source?: string;
  reason?: string;
  olderThan?: string;
  all?: boolean;
  as?: string;
  json?: boolean;
  limit?: string;
  out?: string;
  encoding?: string;
}

export function addDeadLetterCommand(program: Command): void {
  const letters = program
    .command('deadletter')
    .description('List, retry and remove the messages that the router could not take.');
  filtered(letters, 'ls', 'List them, the newest first.')
    .option('--limit <count>', 'most dead letters to list', '100')
    .action((flags: Flags) => run(flags, (commands, config) => commands.list(config, flags)));
  command(letters, 'show <id>', 'Show a dead letter and its first bytes.')
    .option('--out <file>', 'write its bytes to a new file')
    .option('--encoding <encoding>', 'how --out writes them: raw, hex or base64', 'hex')
    .action((id: string, flags: Flags) => run(flags, (commands, config) => commands.show(config, id, flags)));
  filtered(
    letters,
    'retry [id...]',
    'Send dead letters through the intake again; committed ones are removed.',
  )
    .option('--all', 'retry all')
    .option('--as <gateway>', 'treat them as sent by this gateway, whichever sender the provider named')
    .action((ids: string[], flags: Flags) =>
      chosen(ids, flags, (commands, config) => commands.retry(config, ids, flags)),
    );
  filtered(letters, 'purge [id...]', 'Remove dead letters for good.')
    .option('--all', 'remove all')
    .action((ids: string[], flags: Flags) =>
      chosen(ids, flags, (commands, config) => commands.purge(config, ids, flags)),
    );
}

function command(parent: Command, name: string, description: string): Command {
  return parent
    .command(name)
    .description(description)
    .requiredOption('--config <file>', 'router.yaml')
    .option('--json', 'print the result as JSON');
}

function filtered(parent: Command, name: string, description: string): Command {
  return command(parent, name, description)
    .option('--source <source>', 'only those of one source')
    .option('--reason <reason>', 'only those with one reason')
    .option('--older-than <duration>', 'only those received longer ago, for example 7d');
}

/** Prevents accidental retries and removals: ids, a condition or --all are required. */
async function chosen(ids: string[], flags: Flags, work: Parameters<typeof run>[1]): Promise<void> {
  const { all, source, reason, olderThan } = flags;
  if (ids.length > 0 || all || source !== undefined || reason !== undefined || olderThan !== undefined) {
    await run(flags, work);
  } else {
    terminal().exitCode = fail(
      'nothing selected: give ids, --source, --reason, --older-than or --all',
      EXIT.usage,
    );
  }
}

async function run(
  { config }: Flags,
  work: (commands: Commands, config: Parameters<Commands['list']>[0]) => Promise<number>,
): Promise<void> {
  const { loadLedgerToolConfig } = await import('../../router/config.ts');
  const commands = await import('../dead-letters.ts');
  terminal().exitCode = await runConfigured(loadLedgerToolConfig(config), (loaded) => work(commands, loaded));
}
