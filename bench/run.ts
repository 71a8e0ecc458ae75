/** `npm run bench -- NAME [--json]`: runs one bench of this folder; without a name, lists them (docs/benchmarks.md). */
import { readdirSync } from 'node:fs';
import { cpus, type as osType, release, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import type { Bench, Measured } from './measure.ts';

const EXIT_USAGE = 2;
const NOT_BENCHES = ['measure.ts', 'run.ts'];

const benches = await findBenches();
const { name, json, problem } = readArguments();
const bench = benches.find((one) => one.name === name);
if (problem !== null || (name !== undefined && !bench)) {
  const known = benches.map((one) => one.name).join(', ');
  console.error(`bench: ${problem ?? `there is no bench "${name}"`}; there are: ${known}`);
  process.exitCode = EXIT_USAGE;
} else if (bench) {
  const { rows, figures } = await bench.run();
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

function readArguments(): { name: string | undefined; json: boolean; problem: string | null } {
  try {
    const { positionals, values } = parseArgs({
      allowPositionals: true,
      options: { json: { type: 'boolean' } },
    });
    const problem = positionals.length > 1 ? 'one bench at a time' : null;
    return { name: positionals[0], json: values.json ?? false, problem };
  } catch (error) {
    return { name: undefined, json: false, problem: error instanceof Error ? error.message : String(error) };
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
