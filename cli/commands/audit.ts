import type { Command } from 'commander';
import { terminal } from '../terminal.ts';

type Commands = typeof import('../audit.ts');
type Flags = Parameters<Commands['show']>[0];

const GATEWAY = 'the trail of this gateway in the ledger of router.yaml, in place of the router’s own log';

export function addAuditCommand(program: Command): void {
  const audit = program
    .command('audit')
    .description('Show, check and export the audit log: who changed what on an agent or a router.');
  command(audit, 'show', 'List the changes, the newest last.')
    .option('--since <time>', 'only changes since then: a time, a day, or how long ago, such as 7d')
    .option('--json', 'print them as JSON')
    .action(run((commands, flags) => commands.show(flags)));
  command(audit, 'verify', 'Check that nothing was changed, taken out or cut off; fails when it was.')
    .option('--against <file>', 'also compare with a copy that left the machine: ndjson of audit export')
    .option('--json', 'print the result as JSON')
    .action(run((commands, flags) => commands.verify(flags)));
  command(audit, 'export', 'Print the entries as they are, one JSON line each, for audit verify --against.')
    .option('--since <time>', 'only entries since then: a part of the log, which verify does not take')
    .action(run((commands, flags) => commands.exportLines(flags)));
}

function command(parent: Command, name: string, description: string): Command {
  return parent
    .command(name)
    .description(description)
    .option('--data-dir <folder>', 'the data_dir of the agent or router')
    .option('--config <file>', 'its agent.yaml or router.yaml, in place of --data-dir')
    .option('--gateway <name>', GATEWAY);
}

function run(work: (commands: Commands, flags: Flags) => Promise<number>): (flags: Flags) => Promise<void> {
  return async (flags) => {
    terminal().exitCode = await work(await import('../audit.ts'), flags);
  };
}
