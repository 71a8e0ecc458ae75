import type { Command } from 'commander';
import type { CostReport } from '../../shared/admin-api/status.ts';
import { EXIT } from '../../shared/exit-codes.ts';
import { AGENT_ADMIN_URL, ask, isKind } from '../http.ts';
import { fail, printJson, printLine } from '../output.ts';
import { terminal } from '../terminal.ts';

interface CostsFlags {
  admin: string;
  json?: boolean;
}

export function addCostsCommand(program: Command): void {
  program
    .command('costs')
    .description(
      'Show the metered units of today and this month, and their cost: by provider, by stream, against the budget.',
    )
    .option('--admin <url>', "address of the agent's admin server", AGENT_ADMIN_URL)
    .option('--json', 'print the answer as JSON')
    .action(async (flags: CostsFlags) => {
      terminal().exitCode = await costs(flags);
    });
}

async function costs({ admin, json = false }: CostsFlags): Promise<number> {
  const answer = await ask({ base: admin, path: '/v1/costs', who: 'the agent' });
  if (!answer.ok) return fail(answer.message, answer.code);
  if (json) {
    printJson(answer.body);
  } else if (isKind(answer.body, 'costs')) {
    const { renderCosts } = await import('../render/costs.ts');
    printLine(renderCosts(answer.body as CostReport));
  } else {
    return fail(`what answers at ${admin} is not an agent of headgate`, EXIT.unavailable);
  }
  return EXIT.ok;
}
