/** `npm run bench -- NAME [--json] [its options]`: runs one bench of this folder; without a name, lists them (docs/benchmarks.md). */
import { readdirSync } from 'node:fs';
import { cpus, type as osType, release, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import type { Bench, Measured, Options } from './measure.ts';

const EXIT_USAGE = 2;
const NOT_BENCHES = ['measure.ts', 'run.ts'];

const benches = await findBenches();
const bench = benches.find((one) => one.name === process.argv[2]);
const { name, json, options, problem } = readArguments(bench);
if (problem !== null || (name !== undefined && !bench)) {
  const known = benches.map((one) => one.name).join(', ');
  console.error(`bench: ${problem ?? `there is no bench "${name}"`}; there are: ${known}`);
  process.exitCode = EXIT_USAGE;
} else if (bench) {
  const { rows, figures } = await bench.run(options);
  console.log(`${bench.name}: ${bench.summary}\n\n${table(rows)}`);
  if (json) console.log(JSON.stringify({ bench: bench.name, figures, machine: machine() }));
} else {
  console.log(
    `npm run bench -- NAME [--json]\n\n${table(benches.map(({ name, summary }) => ({ name, summary })))}`,
  );
}

async function findBenches(): Promise<Bench[]> {
  const files = readdirSync(new URL('.', import.meta.url)).filter(
    (file) => file.endsWith('.ts') && !NOT_BENCHES.includes(file),
  );
  const modules = files.sort().map((file): Promise<{ bench: Bench }> => import(`./${file}`));
  return (await Promise.all(modules)).map(({ bench }) => bench);
}

interface Arguments {
  name: string | undefined;
  json: boolean;
  options: Options;
  problem: string | null;
}

function readArguments(bench: Bench | undefined): Arguments {
  try {
    const own = Object.fromEntries(
      (bench?.options ?? []).map((option) => [option, { type: 'string' }] as const),
    );
    const { positionals, values } = parseArgs({
      allowPositionals: true,
      options: { ...own, json: { type: 'boolean' } },
    });
    const { json = false, ...options } = values;
    const problem = positionals.length > 1 ? 'one bench at a time' : null;
    return { name: positionals[0], json: json === true, options, problem };
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    return { name: undefined, json: false, options: {}, problem };
  }
}

function machine(): Record<string, string | number> {
  const [cpu] = cpus();
  return {
    cpu: cpu?.model ?? 'unknown',
    cores: cpus().length,
    memory_bytes: totalmem(),
    node: process.version,
    os: `${osType()} ${release()} ${process.arch}`,
  };
}

/** Columns aligned, numbers to the right. */
function table(rows: Measured['rows']): string {
  const columns = Object.keys(rows[0] ?? {});
  const cells = [columns, ...rows.map((row) => columns.map((column) => String(row[column] ?? '')))];
  const widths = columns.map((_, i) => Math.max(...cells.map((line) => line[i]?.length ?? 0)));
  const isNumber = columns.map((column) => typeof rows[0]?.[column] === 'number');
  return cells
    .map((line) =>
      line
        .map((cell, i) => (isNumber[i] ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
