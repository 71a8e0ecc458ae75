import type { Command } from 'commander';
import type { LedgerToolConfig } from '../../router/config.ts';
import { EXIT } from '../../shared/exit-codes.ts';
import { fail, printJson, printLine } from '../output.ts';
import { runConfigured } from '../run-configured.ts';
import { terminal } from '../terminal.ts';

interface Flags {
  config: string;
  json?: boolean;
}

export function addFeedsCommand(program: Command): void {
  const feeds = program
    .command('feeds')
    .description(
      'Show and set the positions of the feeds of router.yaml. A running router applies the changes.',
    );
  command(feeds, 'ls', 'Show the position and the lag of each feed.')
    .option('--json', 'print them as JSON')
    .action(async ({ config, json = false }: Flags) => run(config, (loaded) => list(loaded, json)));
  command(feeds, 'reset <name>', 'Set a feed: it continues with the record after that offset.')
    .requiredOption('--to <offset>', 'an offset; 0 sends the whole ledger again, "end" skips all of it')
    .action(async (name: string, { config, to }: Flags & { to: string }) =>
      run(config, async (loaded) => {
        const { resetFeed } = await import('../feeds.ts');
        return report(await resetFeed(loaded, name, to));
      }),
    );
  command(feeds, 'skip <name>', 'Skip the one record that the destination refuses, as the router reports it.')
    .option('--offset <offset>', 'skip the record at this offset, when no router runs')
    .action(async (name: string, { config, offset }: Flags & { offset?: string }) =>
      run(config, async (loaded) => {
        const { skipRecord } = await import('../feeds.ts');
        return report(await skipRecord(loaded, name, offset ?? null));
      }),
    );
  command(feeds, 'retry <name>', 'Send the records again that the feed has put into quarantine.')
    .option('--offset <offset>', 'only the record at this offset')
    .action(async (name: string, { config, offset }: Flags & { offset?: string }) =>
      run(config, async (loaded) => {
        const { retryRecords } = await import('../feeds.ts');
        return report(await retryRecords(loaded, name, offset ?? null));
      }),
    );
  command(feeds, 'drop <name>', 'Take a record out of quarantine: the destination never gets it.')
    .requiredOption('--offset <offset>', 'the offset of the record')
    .action(async (name: string, { config, offset }: Flags & { offset: string }) =>
      run(config, async (loaded) => {
        const { dropRecord } = await import('../feeds.ts');
        return report(await dropRecord(loaded, name, offset));
      }),
    );
}

function command(feeds: Command, usage: string, description: string): Command {
  return feeds.command(usage).description(description).requiredOption('--config <file>', 'router.yaml');
}

async function run(config: string, use: (config: LedgerToolConfig) => Promise<number>): Promise<void> {
  const { loadLedgerToolConfig } = await import('../../router/config.ts');
  terminal().exitCode = await runConfigured(loadLedgerToolConfig(config), use);
}

async function list(config: LedgerToolConfig, json: boolean): Promise<number> {
  const { listFeeds } = await import('../feeds.ts');
  const found = await listFeeds(config);
  if (found === null) return report({ refused: `there is no ledger in ${config.data_dir}` });
  if (json) printJson(found);
  else {
    const { renderFeeds } = await import('../render/feeds.ts');
    printLine(renderFeeds(found));
  }
  return EXIT.ok;
}

function report(outcome: { done: string } | { refused: string }): number {
  if ('refused' in outcome) return fail(outcome.refused, EXIT.failed);
  printLine(outcome.done);
  return EXIT.ok;
}
