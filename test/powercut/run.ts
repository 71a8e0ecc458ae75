/**
 * `npm run powercut -- --cuts N [--seed S] [--json]`: cuts the power N times under the buffer (docs/powercut.md).
 * With --json the last line is `{"cuts","acked","lost","unstartable"}`. Exits 1 when anything was lost or did not start.
 */
import { parseArgs } from 'node:util';
import { systemClock } from '../../shared/clock.ts';
import { systemEntropy } from '../../shared/entropy.ts';
import { cutMany, type Totals } from './campaign.ts';
import type { Report } from './chain.ts';
import { cutAll } from './cuts.ts';
import { readTrace } from './trace.ts';

const PROGRESS_EVERY_MS = 2000;
const FAILURES_SHOWN = 5;
const PROBLEMS_SHOWN = 5;
const EXIT_USAGE = 2;

const USAGE = `npm run powercut -- [--cuts N] [--seed S] [--json]
  --cuts N              how often the power goes (default 1000)
  --seed S              of lives and cuts (default: random; it is printed)
  --json                a last line for machines
  --synchronous NORMAL  the store syncs as it must not: shows that losses are found
  --trace FILE --cut S  repeats one cut of a kept recording`;

function whole(text: string, name: string): number {
  if (!/^\d{1,10}$/.test(text)) throw new Error(`--${name} takes a whole number, not ${text}`);
  return Number(text);
}

function readArguments() {
  const { values } = parseArgs({
    options: {
      cuts: { type: 'string', default: '1000' },
      seed: { type: 'string', default: String(Math.floor(systemEntropy.float() * 2 ** 32)) },
      json: { type: 'boolean', default: false },
      synchronous: { type: 'string', default: 'FULL' },
      trace: { type: 'string' },
      cut: { type: 'string', default: '0' },
    },
  });
  const { synchronous, json, trace } = values;
  if (synchronous !== 'FULL' && synchronous !== 'NORMAL') throw new Error('--synchronous: FULL or NORMAL');
  if (!/[1-9]/.test(values.cuts)) throw new Error('--cuts: at least one');
  const numbers = {
    cuts: whole(values.cuts, 'cuts'),
    seed: whole(values.seed, 'seed'),
    cut: whole(values.cut, 'cut'),
  };
  return { ...numbers, synchronous, json, trace } as const;
}

/** `repeat`: whether the recording is kept. */
function describe({ trace, seed, inspection: { problems } }: Report, repeat: boolean): string {
  const shown = problems.slice(0, PROBLEMS_SHOWN).map((problem) => `  ${problem}`);
  if (problems.length > shown.length) shown.push(`  … and ${problems.length - shown.length} more`);
  if (repeat) shown.push(`  npm run powercut -- --trace ${trace} --cut ${seed}`);
  return [`cut ${seed}:`, ...shown].join('\n');
}

async function campaign({ cuts, seed, synchronous }: ReturnType<typeof readArguments>): Promise<Totals> {
  console.log(`seed ${seed}`);
  const startedMs = systemClock.monoMs();
  let failures = 0;
  let shownMs = startedMs;
  const rate = (done: number): string => ((done * 1000) / (systemClock.monoMs() - startedMs)).toFixed(0);
  const totals = await cutMany({
    cuts,
    seed,
    synchronous,
    onCut: (totals, report) => {
      if (report.inspection.problems.length > 0 && ++failures <= FAILURES_SHOWN)
        console.log(describe(report, synchronous === 'FULL'));
      if (systemClock.monoMs() - shownMs < PROGRESS_EVERY_MS) return;
      shownMs = systemClock.monoMs();
      console.log(`${totals.cuts} of ${cuts} cuts, ${totals.lost} lost, ${totals.unstartable} unstartable`);
    },
  });
  console.log(`${totals.cuts} cuts, ${rate(totals.cuts)} in a second; ${failures} found something`);
  return totals;
}

function repeat(trace: string, cut: number): Totals {
  const folder = `${trace}.cut-${cut}`;
  const [done] = [...cutAll(readTrace(trace), [cut], folder)];
  if (!done) throw new Error('there was no cut');
  const { acked, lost, unstartable, problems } = done.inspection;
  console.log([`cut ${cut}; after the start its files are in ${folder}`, ...problems].join('\n'));
  return { cuts: 1, acked, lost, unstartable: unstartable ? 1 : 0 };
}

try {
  const options = readArguments();
  const totals = options.trace === undefined ? await campaign(options) : repeat(options.trace, options.cut);
  const { acked, lost, unstartable } = totals;
  console.log(`${acked} acknowledged records looked for, ${lost} lost, ${unstartable} times unstartable`);
  if (options.json) console.log(JSON.stringify(totals));
  process.exitCode = lost + unstartable === 0 ? 0 : 1;
} catch (error) {
  console.error(`powercut: ${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
  process.exitCode = EXIT_USAGE;
}
