import type { Command } from 'commander';
import type { LedgerToolConfig } from '../../router/config.ts';
import type { CompletenessAnswer } from '../../shared/admin-api/status.ts';
import { EXIT } from '../../shared/exit-codes.ts';
import { ROUTER_ADMIN_URL } from '../http.ts';
import { fail, printJson, printLine } from '../output.ts';
import { askPages } from '../pages.ts';
import { runConfigured } from '../run-configured.ts';
import { terminal } from '../terminal.ts';

type Commands = typeof import('../ledger-maintenance.ts');
type EraseFlags = Parameters<Commands['erase']>[1];

interface ConfiguredFlags {
  config: string;
  json?: boolean;
}

interface CompletenessFlags {
  gateway?: string;
  admin?: string;
  json?: boolean;
}

export function addLedgerCommands(program: Command): void {
  const ledger = program.command('ledger').description('Check and maintain the ledger.');
  ledger
    .command('verify')
    .description('Recompute every stream from its records and compare; fails when they differ.')
    .requiredOption('--config <file>', 'router.yaml')
    .option('--json', 'print the result as JSON')
    .action(async ({ config, json = false }: { config: string; json?: boolean }) => {
      const { loadLedgerToolConfig } = await import('../../router/config.ts');
      terminal().exitCode = await runConfigured(loadLedgerToolConfig(config), (loaded) =>
        verify(loaded, json),
      );
    });
  ledger
    .command('erase')
    .description('Erase every record of a device for good; the ids stay known.')
    .requiredOption('--device <device>', 'MQTT client id of the device')
    .option('--gateway <gateway>', 'only records of this gateway')
    .option('--by <name>', 'the person who asks for it, for the audit (default: the user who runs this)')
    .requiredOption('--config <file>', 'router.yaml')
    .option('--json', 'print the result as JSON')
    .action((flags: EraseFlags & ConfiguredFlags) =>
      configured(flags, (commands, config) => commands.erase(config, flags)),
    );
  ledger
    .command('erasures')
    .description('List the erasures: when, by whom, how many records.')
    .requiredOption('--config <file>', 'router.yaml')
    .option('--json', 'print them as JSON')
    .action((flags: ConfiguredFlags) =>
      configured(flags, (commands, config) => commands.erasures(config, flags.json ?? false)),
    );
  ledger
    .command('accept')
    .description('Let the router go on with the ledger as it is now: missing, older or another one.')
    .requiredOption('--config <file>', 'router.yaml')
    .action(async ({ config }: { config: string }) => {
      await configured({ config }, async (commands, loaded) => commands.accept(loaded));
    });
  ledger
    .command('where <record>')
    .description('Show the sources that brought a record (gateway/epoch/stream/seq), and its state.')
    .requiredOption('--config <file>', 'router.yaml')
    .option('--json', 'print it as JSON')
    .action((id: string, flags: ConfiguredFlags) =>
      configured(flags, (commands, config) => commands.where(config, id, flags.json ?? false)),
    );
  program
    .command('completeness')
    .description("Show the complete and missing ranges in a running router's ledger, stream by stream.")
    .option('--gateway <gateway>', 'only this gateway')
    .option('--admin <url>', `address of the admin server (default: ${ROUTER_ADMIN_URL})`)
    .option('--json', 'print the streams as JSON')
    .action(async (flags: CompletenessFlags) => {
      terminal().exitCode = await completeness(flags);
    });
}

async function configured(
  flags: ConfiguredFlags,
  work: (commands: Commands, config: LedgerToolConfig) => Promise<number>,
): Promise<void> {
  const { loadLedgerToolConfig } = await import('../../router/config.ts');
  const commands = await import('../ledger-maintenance.ts');
  terminal().exitCode = await runConfigured(loadLedgerToolConfig(flags.config), (config) =>
    work(commands, config),
  );
}

async function verify(config: LedgerToolConfig, json: boolean): Promise<number> {
  const { ledgerText, noLedger, withLedger } = await import('../with-ledger.ts');
  const { withProgress } = await import('../progress.ts');
  const found = await withProgress(`verifying ${ledgerText(config)}`, { json }, () =>
    withLedger(config, (ledger) => ledger.verify()),
  );
  if (found === null) return noLedger(config);
  if (json) printJson(found);
  else {
    const { renderVerification } = await import('../render/verification.ts');
    printLine(renderVerification(found));
  }
  return found.problemCount === 0 ? EXIT.ok : EXIT.failed;
}

async function completeness({ gateway, admin, json = false }: CompletenessFlags): Promise<number> {
  const answer = await askPages<CompletenessAnswer>(
    {
      base: admin ?? ROUTER_ADMIN_URL,
      path: '/v1/completeness',
      query: gateway === undefined ? {} : { gateway },
      who: 'the router',
    },
    (body) => typeof body === 'object' && body !== null && 'streams' in body && Array.isArray(body.streams),
  );
  if (!answer.ok) return fail(answer.message, answer.code);
  const streams = answer.pages.flatMap((page) => page.streams);
  if (gateway !== undefined && streams.length === 0) {
    return fail(`the ledger has nothing of gateway "${gateway}"`, EXIT.failed);
  }
  if (json) printJson(streams);
  else {
    const { renderCompleteness } = await import('../render/router-status.ts');
    printLine(renderCompleteness(streams, answer.pages[0]?.summary ?? null));
  }
  return EXIT.ok;
}
