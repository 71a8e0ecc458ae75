import type { Command } from 'commander';
import { EXIT } from '../../shared/exit-codes.ts';
import type { AgentStatus, RouterStatus } from '../../shared/status.ts';
import { AGENT_ADMIN_URL, ask, isKind, ROUTER_ADMIN_URL } from '../http.ts';
import { fail, printJson, printLine } from '../output.ts';

interface StatusFlags {
  admin?: string;
  router?: boolean;
  json?: boolean;
}

export function addStatusCommand(program: Command): void {
  program
    .command('status')
    .description(
      'What a running agent or router does: streams, buffer, providers; sources, ledger, gateways.',
    )
    .option(
      '--admin <url>',
      `address of the admin server (default: ${AGENT_ADMIN_URL}, with --router ${ROUTER_ADMIN_URL})`,
    )
    .option('--router', 'ask the router in place of the agent')
    .option('--json', 'print the answer as JSON')
    .action(async (flags: StatusFlags) => {
      process.exitCode = await status(flags);
    });
}

async function status({ admin, router = false, json = false }: StatusFlags): Promise<number> {
  const base = admin ?? (router ? ROUTER_ADMIN_URL : AGENT_ADMIN_URL);
  const answer = await ask({ base, path: '/v1/status', who: router ? 'the router' : 'the agent' });
  if (!answer.ok) return fail(answer.message, answer.code);
  if (json) {
    printJson(answer.body);
  } else if (isKind(answer.body, 'agent')) {
    const { renderAgentStatus } = await import('../render/agent-status.ts');
    printLine(renderAgentStatus(answer.body as AgentStatus));
  } else if (isKind(answer.body, 'router')) {
    const { renderRouterStatus } = await import('../render/router-status.ts');
    printLine(renderRouterStatus(answer.body as RouterStatus));
  } else {
    return fail(`what answers at ${base} is not headgate`, EXIT.unavailable);
  }
  return EXIT.ok;
}
