import type { Command } from 'commander';
import { EXIT } from '../../shared/exit-codes.ts';
import type { Explanation } from '../../shared/status.ts';
import { AGENT_ADMIN_URL, ask, isKind } from '../http.ts';
import { fail, printJson, printLine } from '../output.ts';

interface ExplainFlags {
  admin: string;
  json?: boolean;
}

export function addExplainCommand(program: Command): void {
  program
    .command('explain [stream]')
    .description('Why each provider was chosen or refused, part by part; for one stream or for all.')
    .option('--admin <url>', "address of the agent's admin server", AGENT_ADMIN_URL)
    .option('--json', 'print the answer as JSON')
    .action(async (stream: string | undefined, flags: ExplainFlags) => {
      process.exitCode = await explain(stream, flags);
    });
}

async function explain(stream: string | undefined, { admin, json = false }: ExplainFlags): Promise<number> {
  const query = stream === undefined ? '' : `?stream=${encodeURIComponent(stream)}`;
  const answer = await ask({ base: admin, path: `/v1/explain${query}`, who: 'the agent' });
  if (!answer.ok) return fail(answer.message, answer.code);
  if (json) {
    printJson(answer.body);
  } else if (isKind(answer.body, 'explain')) {
    const { renderExplanation } = await import('../render/explain.ts');
    printLine(renderExplanation(answer.body as Explanation));
  } else {
    return fail(`what answers at ${admin} is not an agent of headgate`, EXIT.unavailable);
  }
  return EXIT.ok;
}
