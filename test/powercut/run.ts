/**
 * `npm run powercut -- --cuts N [--seed S] [--json]`: cuts the power N times under the buffer
 * (docs/explanation/powercut.md). With --json the last line is `{"cuts","acked","lost","unstartable"}`. Exits
 * 1 when anything was lost or did not start.
 */
import { systemClock } from '../../shared/clock.ts';
import { systemEntropy } from '../../shared/entropy.ts';
import { errorText } from '../../shared/log.ts';
import { readScript, whole } from '../script.ts';
import { cutMany, type Totals } from './campaign.ts';
import type { Report } from './chain.ts';
import { cutAll } from './cuts.ts';
import { readTrace } from './trace.ts';

const PROGRESS_EVERY_MS = 2000;
const FAILURES_SHOWN = 5;
const PROBLEMS_SHOWN = 5;
const EXIT_USAGE = 2;

function readArguments() {
  return readScript(
    {
      command: 'npm run powercut',
      does: 'Cuts the power under the buffer, again and again. Fails when anything acknowledged was lost, or it did not start.',
      options: {
        cuts: { takes: 'N', default: '1000', is: 'how often the power goes' },
        seed: { takes: 'S', is: 'of lives and cuts (default: random; it is printed)' },
        json: { is: 'a last line for machines' },
        synchronous: {
          takes: 'FULL|NORMAL',
          default: 'FULL',
          is: 'how the store syncs; NORMAL is as it must not, and shows that losses are found',
        },
        trace: { takes: 'FILE', is: 'a kept recording, of which one cut is repeated' },
        cut: { takes: 'S', default: '0', is: 'which cut of it' },
      },
      example: '--cuts 200 --seed 7',
    },
    ({ cuts, seed = String(Math.floor(systemEntropy.float() * 2 ** 32)), json, synchronous, trace, cut }) => {
      if (synchronous !== 'FULL' && synchronous !== 'NORMAL')
        throw new Error('--synchronous must be FULL or NORMAL');
      const numbers = {
        cuts: whole('--cuts', cuts, 1),
        seed: whole('--seed', seed, 0),
        cut: whole('--cut', cut, 0),
      };
      return { ...numbers, synchronous, json, trace } as const;
    },
  );
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

const options = readArguments();
try {
  const totals = options.trace === undefined ? await campaign(options) : repeat(options.trace, options.cut);
  const { acked, lost, unstartable } = totals;
  console.log(`${acked} acknowledged records looked for, ${lost} lost, ${unstartable} times unstartable`);
  if (options.json) console.log(JSON.stringify(totals));
  process.exitCode = lost + unstartable === 0 ? 0 : 1;
} catch (error) {
  console.error(`powercut: ${errorText(error)}`);
  process.exitCode = EXIT_USAGE;
}
