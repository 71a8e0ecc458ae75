import type { Command } from 'commander';
import type { HoldList } from '../../shared/admin-api/holds.ts';
import { EXIT } from '../../shared/exit-codes.ts';
import { AGENT_ADMIN_URL, ask, isKind } from '../http.ts';
import { fail, printJson, printLine } from '../output.ts';
import { terminal } from '../terminal.ts';

interface HoldFlags {
  reason?: string;
  for?: string;
  all?: boolean;
  admin: string;
  json?: boolean;
}

type Question = Omit<Parameters<typeof ask>[0], 'base' | 'who'>;

export function addHoldCommand(program: Command): void {
  const hold = program
    .command('hold')
    .description('Keep an agent from using a provider, for a reason, until you lift the hold.');
  const shared = (command: Command): Command =>
    command
      .option('--admin <url>', "address of the agent's admin server", AGENT_ADMIN_URL)
      .option('--json', 'print the holds as JSON');
  shared(hold.command('add <provider>'))
    .description(
      'Hold a provider. Each reason is a separate hold; the provider is free when the last hold has ended.',
    )
    .option('--reason <text>', 'the reason, which also names the hold (default: by hand)')
    .option('--for <duration>', 'end the hold after this time: 30m, 2h, 7d')
    .action(async (provider: string, flags: HoldFlags) => {
      terminal().exitCode = await add(provider, flags);
    });
  shared(hold.command('rm <provider>'))
    .description('End the hold of a provider; with several holds, the one with that reason.')
    .option('--reason <text>', 'the reason of the hold')
    .option('--all', 'end all holds of the provider')
    .action(async (provider: string, flags: HoldFlags) => {
      const query = new URLSearchParams({ provider });
      if (flags.reason !== undefined) query.set('reason', flags.reason);
      else if (flags.all) query.set('all', 'yes');
      terminal().exitCode = await change(flags, { path: `/v1/holds?${query}`, method: 'DELETE' });
    });
  shared(hold.command('ls'))
    .description('List the holds in force.')
    .action(async (flags: HoldFlags) => {
      terminal().exitCode = await change(flags, { path: '/v1/holds' });
    });
}

/** Checks the request as the agent would, whether the agent runs or not. */
async function add(provider: string, flags: HoldFlags): Promise<number> {
  const { holdRequest } = await import('../../agent/holds/hold-file.ts');
  const body = { provider, reason: flags.reason, for: flags.for };
  const parsed = holdRequest.safeParse(body);
  if (!parsed.success) {
    const mistakes = parsed.error.issues.map(({ path, message }) => `--${path.join('.')}: ${message}`);
    return fail(mistakes.join('; '), EXIT.usage);
  }
  return change(flags, { path: '/v1/holds', method: 'PUT', body });
}

/** Sends the request and prints the resulting holds. */
async function change({ admin, json = false }: HoldFlags, question: Question): Promise<number> {
  const answer = await ask({ ...question, base: admin, who: 'the agent' });
  if (!answer.ok) return fail(answer.message, answer.code);
  if (!isKind(answer.body, 'holds'))
    return fail(`what answers at ${admin} is not an agent of headgate`, EXIT.unavailable);
  const list = answer.body as HoldList;
  const { renderHolds } = await import('../render/holds.ts');
  if (json) printJson(list);
  else printLine(renderHolds(list));
  return list.kept
    ? EXIT.ok
    : fail('the change is in force, but could not be written: a restart will lose it', EXIT.failed);
}
