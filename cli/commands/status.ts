import type { Command } from 'commander';
import type { AgentStatus, GatewayStatus, RouterStatus } from '../../shared/admin-api/status.ts';
import { EXIT } from '../../shared/exit-codes.ts';
import { AGENT_ADMIN_URL, isKind, ROUTER_ADMIN_URL } from '../http.ts';
import { fail, printJson, printLine } from '../output.ts';
import { askPages } from '../pages.ts';
import { terminal } from '../terminal.ts';

interface StatusFlags {
  admin?: string;
  router?: boolean;
  json?: boolean;
}

export function addStatusCommand(program: Command): void {
  program
    .command('status')
    .description(
      'Show the state of a running agent or router: streams, buffer, providers; sources, ledger, gateways.',
    )
    .option(
      '--admin <url>',
      `address of the admin server (default: ${AGENT_ADMIN_URL}, with --router ${ROUTER_ADMIN_URL})`,
    )
    .option('--router', 'ask the router instead of the agent')
    .option('--json', 'print the answer as JSON')
    .action(async (flags: StatusFlags) => {
      terminal().exitCode = await status(flags);
    });
}

async function status({ admin, router = false, json = false }: StatusFlags): Promise<number> {
  const base = admin ?? (router ? ROUTER_ADMIN_URL : AGENT_ADMIN_URL);
  const who = router ? 'the router' : 'the agent';
  // An agent's status is one page.
  const answer = await askPages<AgentStatus | RouterStatus>(
    { base, path: '/v1/status', query: {}, who },
    (body) => isKind(body, 'agent') || isKind(body, 'router'),
  );
  if (!answer.ok) return fail(answer.message, answer.code);
  const whole = wholeStatus(answer.pages);
  if (json) {
    printJson(whole);
  } else if (whole.kind === 'agent') {
    const { renderAgentStatus } = await import('../render/agent-status.ts');
    printLine(renderAgentStatus(whole));
  } else {
    const { renderRouterStatus } = await import('../render/router-status.ts');
    printLine(renderRouterStatus(whole));
  }
  return EXIT.ok;
}

/** The first page with the gateways of all pages; a gateway that is split between two pages is joined. */
function wholeStatus([first, ...more]: readonly (AgentStatus | RouterStatus)[]): AgentStatus | RouterStatus {
  if (!first) throw new Error('an answer without a page');
  if (first.kind === 'agent') return first;
  const gateways = new Map<string, GatewayStatus>();
  for (const page of [first, ...more]) {
    if (page.kind === 'agent') continue;
    for (const part of page.gateways) {
      const streams = [...(gateways.get(part.gateway)?.streams ?? []), ...part.streams];
      gateways.set(part.gateway, { ...part, streams });
    }
  }
  return { ...first, gateways: [...gateways.values()], next: null };
}
