import type { Command } from 'commander';
import type { HoldList } from '../../shared/admin-api/holds.ts';
import { EXIT } from '../../shared/exit-codes.ts';
import { AGENT_ADMIN_URL, ask, isKind } from '../http.ts';
import { fail, printJson, printLine } from '../output.ts';

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
    .description('Keep an agent from using a provider, for a reason, until you say otherwise.');
  const shared = (command: Command): Command =>
    command
      .option('--admin <url>', "address of the agent's admin server", AGENT_ADMIN_URL)
      .option('--json', 'print the holds as JSON');
  shared(hold.command('add <provider>'))
    .description(
      'Hold a provider. Each reason is a hold of its own; the provider is free when the last one has ended.',
    )
    .option('--reason <text>', 'why, and the name to end it by (default: by hand)')
    .option('--for <duration>', 'ends by itself after 30m, 2h, 7d')
    .action(async (provider: string, flags: HoldFlags) => {
      process.exitCode = await add(provider, flags);
    });
  shared(hold.command('rm <provider>'))
    .description('End the hold of a provider; with several, the one of that reason.')
    .option('--reason <text>', 'the reason it was set with')
    .option('--all', 'all of the provider')
    .action(async (provider: string, flags: HoldFlags) => {
      const query = new URLSearchParams({ provider });
      if (flags.reason !== undefined) query.set('reason', flags.reason);
      else if (flags.all) query.set('all', 'yes');
      process.exitCode = await change(flags, { path: `/v1/holds?${query}`, method: 'DELETE' });
    });
  shared(hold.command('ls'))
    .description('The holds in force.')
    .action(async (flags: HoldFlags) => {
      process.exitCode = await change(flags, { path: '/v1/holds' });
    });
}

/** What the agent would refuse is refused here, whether it runs or not. */
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

/** Asks, and shows the holds as they are then. */
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
    : fail('it is in force, but could not be written: a restart will forget it', EXIT.failed);
}
