import type { Command } from 'commander';
import { runConfigured } from '../run-configured.ts';
import { terminal } from '../terminal.ts';

export function addRouterCommand(program: Command): void {
  program
    .command('router')
    .description('Run a cloud router: reads every cloud into one ledger. Any signal ends it cleanly.')
    .requiredOption('--config <file>', 'router.yaml')
    .action(async ({ config }: { config: string }) => {
      const { loadRouterConfig } = await import('../../router/config.ts');
      terminal().exitCode = await runConfigured(loadRouterConfig(config), async (routerConfig) => {
        const { runRouter } = await import('../../router/router.ts');
        return runRouter(routerConfig);
      });
    });
}
