import type { Command } from 'commander';
import { EXIT } from '../../shared/exit-codes.ts';
import { fail, printJson, printLine } from '../output.ts';

const KINDS = ['agent', 'router', 'policy'] as const;
type Kind = (typeof KINDS)[number];

interface CheckFlags {
  kind?: string;
  secrets: boolean;
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
    .option('--json', 'print the result as JSON')
    .action(async (file: string, flags: CheckFlags) => {
      process.exitCode = await check(file, flags);
    });
  config
    .command('schema <kind>')
    .description(`JSON Schema for editors: ${KINDS.join(', ')}.`)
    .action(async (kind: string) => {
      process.exitCode = await schema(kind);
    });
}

async function check(file: string, { kind: asked, secrets, json = false }: CheckFlags): Promise<number> {
  const wanted = asked === undefined ? null : toKind(asked);
  if (wanted === undefined) return unknownKind(asked ?? '');
  const { checkConfig, formatProblems } = await import('../check-config.ts');
  const { kind, isGuess, problems } = checkConfig(file, { kind: wanted, secrets });
  if (json) printJson({ ok: problems.length === 0, kind, problems });
  else if (problems.length === 0) printLine(`${file}: ok (${kind})`);
  else fail(formatProblems(problems), EXIT.config);
  if (isGuess && !json)
    fail(
      `its keys do not tell what it is: checked as ${kind}; --kind ${KINDS.join('|')} says it`,
      EXIT.config,
    );
  return problems.length === 0 ? EXIT.ok : EXIT.config;
}

async function schema(asked: string): Promise<number> {
  const kind = toKind(asked);
  if (kind === undefined) return unknownKind(asked);
  const { schemaText } = await import('../schemas.ts');
  process.stdout.write(schemaText(kind));
  return EXIT.ok;
}

function toKind(text: string): Kind | undefined {
  return KINDS.find((kind) => kind === text);
}

function unknownKind(text: string): number {
  return fail(`unknown kind "${text}"; known: ${KINDS.join(', ')}`, EXIT.usage);
}
