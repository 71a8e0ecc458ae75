import type { Command } from 'commander';
import type { ClientsAnswer } from '../../shared/admin-api/clients.ts';
import { EXIT } from '../../shared/exit-codes.ts';
import { AGENT_ADMIN_URL, isKind } from '../http.ts';
import { fail, printJson, printLine } from '../output.ts';
import { askPages } from '../pages.ts';
import { terminal } from '../terminal.ts';

interface ClientsFlags {
  admin?: string;
  refused?: boolean;
  json?: boolean;
}

export function addClientsCommand(program: Command): void {
  program
    .command('clients')
    .description(
      'The MQTT clients of a running agent: connected or last seen, how fast, what was refused and why.',
    )
    .option('--refused', 'only those of which something was refused')
    .option('--admin <url>', `address of the admin server (default: ${AGENT_ADMIN_URL})`)
    .option('--json', 'print them as JSON')
    .action(async (flags: ClientsFlags) => {
      terminal().exitCode = await clients(flags);
    });
}

async function clients({ admin, refused = false, json = false }: ClientsFlags): Promise<number> {
  const answer = await askPages<ClientsAnswer>(
    { base: admin ?? AGENT_ADMIN_URL, path: '/v1/clients', query: {}, who: 'the agent' },
    (body) => isKind(body, 'clients'),
  );
  if (!answer.ok) return fail(answer.message, answer.code);
  const [first] = answer.pages;
  if (!first) throw new Error('no answer has no page');
  const all = answer.pages.flatMap((page) => page.clients);
  const shown = refused ? all.filter(({ lastRefusal }) => lastRefusal !== null) : all;
  if (json) printJson({ ...first, clients: shown, next: null });
  else {
    const { renderClients } = await import('../render/clients.ts');
    printLine(renderClients({ ...first, clients: shown }));
  }
  return EXIT.ok;
}
