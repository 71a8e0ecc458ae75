import type { Command } from 'commander';
import { formatProblems } from '../../shared/config/problem.ts';
import { EXIT } from '../../shared/exit-codes.ts';
import { fail } from '../output.ts';
import { runConfigured } from '../run-configured.ts';
import { terminal } from '../terminal.ts';

export function addAgentCommand(program: Command): void {
  program
    .command('agent')
    .description(
      'Run a gateway: MQTT broker, durable buffer, publishing to the clouds. SIGHUP reads the policy again; any other signal ends it cleanly.',
    )
    .requiredOption('--config <file>', 'agent.yaml')
    .action(async ({ config }: { config: string }) => {
      const { loadAgentConfig } = await import('../../agent/config/config.ts');
      terminal().exitCode = await runConfigured(loadAgentConfig(config), async (agentConfig) => {
        const { dataFolderMistake } = await import('../../agent/runtime/data-folder.ts');
        const mistake = await dataFolderMistake(agentConfig.data_dir);
        if (mistake !== null) {
          const where = { file: config, path: 'data_dir', line: null, column: null, found: null };
          return fail(formatProblems([{ ...where, ...mistake }]), EXIT.config);
        }
        const { runAgent } = await import('../../agent/agent.ts');
        return runAgent(agentConfig, () => loadAgentConfig(config));
      });
    });
}
