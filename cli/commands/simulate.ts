import type { Command } from 'commander';
import { systemClock } from '../../shared/clock.ts';
import { EXIT } from '../../shared/exit-codes.ts';
import { fail, printJson, printLine } from '../output.ts';
import { terminal } from '../terminal.ts';

interface SimulateFlags {
  policy: string[];
  history: string;
  from?: string;
  to?: string;
  json?: boolean;
}

export function addSimulateCommand(program: Command): void {
  program
    .command('simulate')
    .description(
      'Replay a recorded history under another policy: providers of each stream, switches, cost, time at risk.',
    )
    .requiredOption('--history <folder>', 'the history of a gateway: <data_dir>/history, or a copy')
    .option(
      '--policy <file>',
      'policy to try; repeatable',
      (file: string, files: string[]) => [...files, file],
      [],
    )
    .option('--from <time>', 'start of the replay: 2026-11-21T08:30Z, 2026-11-21, or 2d (ago)')
    .option('--to <time>', 'end there')
    .option('--json', 'print the report as JSON')
    .action(async (flags: SimulateFlags) => {
      terminal().exitCode = await run(flags);
    });
}

async function run({ policy: files, history, from, to, json = false }: SimulateFlags): Promise<number> {
  const { parseTime, TIME_FORMS } = await import('../time.ts');
  const nowMs = systemClock.wallMs();
  const begin = from === undefined ? 0 : parseTime(from, nowMs);
  const end = to === undefined ? Number.MAX_SAFE_INTEGER : parseTime(to, nowMs);
  if (begin === null || end === null)
    return fail(`"${begin === null ? from : to}": ${TIME_FORMS}`, EXIT.usage);
  const { withProgress } = await import('../progress.ts');
  const result = await withProgress(`replaying the history in ${history}`, { json }, async (report) => {
    const { simulate } = await import('../../agent/simulate/simulate.ts');
    return simulate(history, files, { from: begin, to: end }, report);
  });
  switch (result.kind) {
    case 'failed':
      return fail(result.message, EXIT.failed);
    case 'mistakes': {
      const { formatProblems } = await import('../../shared/config/load.ts');
      return fail(formatProblems(result.problems), EXIT.config);
    }
    case 'done': {
      const { renderSimulation } = await import('../render/simulation.ts');
      if (json) printJson(result.report);
      else printLine(renderSimulation(result.report));
      return EXIT.ok;
    }
  }
}
