import type { Command } from 'commander';
import type { Explanation, PastExplanation } from '../../shared/admin-api/explanation.ts';
import { isoTime, systemClock } from '../../shared/clock.ts';
import { EXIT } from '../../shared/exit-codes.ts';
import { AGENT_ADMIN_URL, ask, isKind } from '../http.ts';
import { fail, printJson, printLine } from '../output.ts';
import { terminal } from '../terminal.ts';

interface ExplainFlags {
  stream?: string;
  at?: string;
  admin: string;
  json?: boolean;
}

export function addExplainCommand(program: Command): void {
  program
    .command('explain [stream]')
    .description('Show why each provider was chosen or refused, part by part; for one stream or for all.')
    .option('--stream <stream>', 'the same as the argument')
    .option('--at <time>', 'the state at a past time: 2026-11-21T08:30Z, or 90m (ago)')
    .option('--admin <url>', "address of the agent's admin server", AGENT_ADMIN_URL)
    .option('--json', 'print the answer as JSON')
    .action(async (stream: string | undefined, flags: ExplainFlags) => {
      const isTwice = stream !== undefined && flags.stream !== undefined && stream !== flags.stream;
      terminal().exitCode = isTwice
        ? fail(`"${flags.stream}" and "${stream}": name one stream, or none for all`, EXIT.usage)
        : await explain(stream ?? flags.stream, flags);
    });
}

async function explain(
  stream: string | undefined,
  { at, admin, json = false }: ExplainFlags,
): Promise<number> {
  const query = new URLSearchParams();
  if (stream !== undefined) query.set('stream', stream);
  if (at !== undefined) {
    const { parseTime, TIME_FORMS } = await import('../time.ts');
    const atMs = parseTime(at, systemClock.wallMs());
    if (atMs === null) return fail(`"${at}": ${TIME_FORMS}`, EXIT.usage);
    query.set('at', isoTime(atMs));
  }
  const answer = await ask({ base: admin, path: `/v1/explain?${query}`, who: 'the agent' });
  if (!answer.ok) return fail(answer.message, answer.code);
  if (json) {
    printJson(answer.body);
  } else if (isKind(answer.body, 'explain')) {
    const { renderExplanation } = await import('../render/explain.ts');
    printLine(renderExplanation(answer.body as Explanation));
  } else if (isKind(answer.body, 'explain-at')) {
    const { renderPast } = await import('../render/explain-at.ts');
    printLine(renderPast(answer.body as PastExplanation));
  } else {
    return fail(`what answers at ${admin} is not an agent of headgate`, EXIT.unavailable);
  }
  return EXIT.ok;
}
