import type { Command } from 'commander';
import type { WhereAnswer } from '../../shared/admin-api/where.ts';
import { EXIT } from '../../shared/exit-codes.ts';
import { parseRecordId } from '../../shared/record.ts';
import { AGENT_ADMIN_URL, ask, isKind } from '../http.ts';
import { fail, printJson, printLine } from '../output.ts';
import { terminal } from '../terminal.ts';

interface WhereFlags {
  admin: string;
  json?: boolean;
}

export function addWhereCommand(program: Command): void {
  program
    .command('where <record>')
    .description(
      'Show the state of a record, <gateway>/<epoch>/<stream>/<seq>: the providers that accepted it and when, or where it waits.',
    )
    .option('--admin <url>', "address of the agent's admin server", AGENT_ADMIN_URL)
    .option('--json', 'print the answer as JSON')
    .action(async (record: string, flags: WhereFlags) => {
      terminal().exitCode = await where(record, flags);
    });
}

async function where(record: string, { admin, json = false }: WhereFlags): Promise<number> {
  if (parseRecordId(record) === null) {
    const form = '<gateway>/<epoch>/<stream>/<seq>, such as gw-1/12-9f3c01ab/telemetry/4711';
    return fail(`"${record}" is not a record id: expected ${form}`, EXIT.usage);
  }
  const path = `/v1/where?id=${encodeURIComponent(record)}`;
  const answer = await ask({ base: admin, path, who: 'the agent' });
  if (!answer.ok) return fail(answer.message, answer.code);
  if (json) {
    printJson(answer.body);
  } else if (isKind(answer.body, 'where')) {
    const { renderWhere } = await import('../render/where.ts');
    printLine(renderWhere(answer.body as WhereAnswer));
  } else {
    return fail(`what answers at ${admin} is not an agent of headgate`, EXIT.unavailable);
  }
  return EXIT.ok;
}
