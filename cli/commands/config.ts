import type { Command } from 'commander';
import { EXIT } from '../../shared/exit-codes.ts';
import { fail, printJson, printLine } from '../output.ts';
import { terminal } from '../terminal.ts';

const KINDS = ['agent', 'router', 'policy'] as const;
type Kind = (typeof KINDS)[number];

interface CheckFlags {
  kind?: string;
  secrets: boolean;
  connect?: boolean;
  json?: boolean;
}

export function addConfigCommand(program: Command): void {
  const config = program
    .command('config')
    .description('Check a configuration file, or print its JSON Schema.');
  config
    .command('check <file>')
    .description('Report every mistake of an agent.yaml, router.yaml or policy file at once.')
    .option('--kind <kind>', `one of ${KINDS.join(', ')} (default: by its content)`)
    .option('--no-secrets', 'leave out references and files that are not on this machine')
    .option('--connect', 'then try each connection of an agent.yaml or router.yaml, phase by phase')
    .option('--json', 'print the result as JSON')
    .action(async (file: string, flags: CheckFlags) => {
      terminal().exitCode = await check(file, flags);
    });
  config
    .command('schema <kind>')
    .description(`JSON Schema for editors: ${KINDS.join(', ')}.`)
    .action(async (kind: string) => {
      terminal().exitCode = await schema(kind);
    });
}

async function check(
  file: string,
  { kind: asked, secrets, connect = false, json = false }: CheckFlags,
): Promise<number> {
  const wanted = asked === undefined ? null : toKind(asked);
  if (wanted === undefined) return unknownKind(asked ?? '');
  const { checkConfig, formatProblems } = await import('../check-config.ts');
  if (connect && !secrets) return fail('--connect needs the secrets: leave out --no-secrets', EXIT.usage);
  const { kind, isGuess, problems, notes } = checkConfig(file, { kind: wanted, secrets });
  const goesOn = connect && problems.length === 0;
  if (json && !goesOn) printJson({ ok: problems.length === 0, kind, problems, notes });
  else if (problems.length === 0 && !json) printLine(`${file}: ok (${kind})`);
  else if (!json) fail(formatProblems(problems), EXIT.config);
  if (!json) for (const { path, message, hint } of notes) printLine(`  note: ${path}: ${message}; ${hint}`);
  if (isGuess && !json)
    fail(`its keys do not show its kind: checked as ${kind}; set --kind ${KINDS.join('|')}`, EXIT.config);
  if (problems.length > 0) return EXIT.config;
  if (!connect) return EXIT.ok;
  const { connectAll } = await import('../check/connect.ts');
  return connectAll(file, kind, json);
}

async function schema(asked: string): Promise<number> {
  const kind = toKind(asked);
  if (kind === undefined) return unknownKind(asked);
  const { schemaText } = await import('../schemas.ts');
  terminal().stdout.write(schemaText(kind));
  return EXIT.ok;
}

function toKind(text: string): Kind | undefined {
  return KINDS.find((kind) => kind === text);
}

function unknownKind(text: string): number {
  return fail(`unknown kind "${text}"; known: ${KINDS.join(', ')}`, EXIT.usage);
}
