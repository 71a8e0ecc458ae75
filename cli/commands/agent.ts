import type { Command } from 'commander';
import { runConfigured } from '../run-configured.ts';

export function addAgentCommand(program: Command): void {
  program
    .command('agent')
    .description(
      'Run a gateway: MQTT broker, durable buffer, publishing to the clouds. Stops on SIGTERM or SIGINT.',
    )
    .requiredOption('--config <file>', 'agent.yaml')
    .action(async ({ config }: { config: string }) => {
      const { loadAgentConfig } = await import('../../agent/config.ts');
      process.exitCode = await runConfigured(loadAgentConfig(config), async (agentConfig) => {
        const { runAgent } = await import('../../agent/agent.ts');
        return runAgent(agentConfig);
      });
    });
}
