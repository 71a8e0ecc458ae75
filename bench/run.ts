/**
 * `npm run bench -- NAME [--json] [its options]`: runs one bench of this folder; without a name, lists them
 * (docs/reference/benchmarks.md).
 */
import { readdirSync } from 'node:fs';
import { cpus, type as osType, release, totalmem } from 'node:os';
import { type Option, readScript } from '../test/script.ts';
import type { Bench, Measured, Options } from './measure.ts';

const NOT_BENCHES = ['measure.ts', 'run.ts'];

const benches = await findBenches();
const named = benches.find((one) => one.name === process.argv[2]);
const { bench, json, options } = readArguments(named);
if (bench) {
  const { rows, figures } = await bench.run(options);
  console.log(`${bench.name}: ${bench.summary}\n\n${table(rows)}`);
  if (json) console.log(JSON.stringify({ bench: bench.name, figures, machine: machine() }));
} else {
  console.log(`npm run bench -- NAME [--json]\n\n${list()}`);
}

async function findBenches(): Promise<Bench[]> {
  const files = readdirSync(new URL('.', import.meta.url)).filter(
    (file) => file.endsWith('.ts') && !NOT_BENCHES.includes(file),
  );
  const modules = files.sort().map((file): Promise<{ bench: Bench }> => import(`./${file}`));
  return (await Promise.all(modules)).map(({ bench }) => bench);
}

function list(): string {
  return table(benches.map(({ name, summary }) => ({ name, summary })));
}

/** `found`: the bench named first, whose own options are accepted. */
function readArguments(found: Bench | undefined): {
  bench: Bench | undefined;
  json: boolean;
  options: Options;
} {
  const own: Record<string, Option> = { ...found?.options };
  return readScript(
    {
      command: 'npm run bench',
      argument: found?.name ?? 'NAME',
      does:
        found?.summary ??
        `Runs one of these; without a name, lists them. Some have options of their own: NAME --help\n\n${list()}`,
      options: { ...own, json: { is: 'a last line for machines' } },
      example: `${found?.name ?? 'envelope'} --json`,
    },
    ({ json, ...options }, [name, ...more]) => {
      if (more.length > 0) throw new Error('one bench at a time');
      if (name !== undefined && name !== found?.name) throw new Error(`there is no bench "${name}"`);
      return { bench: found, json: json === true, options };
    },
  );
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

/** Aligned columns, numbers to the right. */
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
