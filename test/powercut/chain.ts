/**
 * Several lives in a row, each given the disk that a power cut left of the one before: so cuts fall into
 * recovery, too. Entry of a worker thread; it reports cut by cut.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { seededEntropy } from '../../shared/entropy.ts';
import { cutAll, cutForNextLife } from './cuts.ts';
import type { Mark } from './expected.ts';
import type { Inspection } from './inspect.ts';
import { recordLife, type Synchronous } from './record.ts';
import { NUMBERS_PER_LIFE } from './records.ts';
import { MARKS } from './trace.ts';

const LIVES = 3;

export interface Chain {
  library: string;
  /** Scratch, the chain's own. Traces of lives in which a cut found something stay there. */
  folder: string;
  seed: number;
  cuts: number;
  /**
   * Steady; or with a first life that fills the buffer far and empties it; or with a damaged file before the
   * last life.
   */
  course: 'steady' | 'deep' | 'damaged';
  synchronous: Synchronous;
}

export interface Report {
  trace: string;
  seed: number;
  inspection: Inspection;
}

function run(chain: Chain, report: (report: Report) => void): void {
  const entropy = seededEntropy(chain.seed);
  const seed = (): number => Math.floor(entropy.float() * 2 ** 32);
  const folder = join(chain.folder, 'live');
  for (let life = 0; life < LIVES; life++) {
    const trace = join(chain.folder, `life-${life + 1}.trace`);
    const course = life === 0 && chain.course === 'deep' ? 'deep' : 'steady';
    if (life === LIVES - 1 && chain.course === 'damaged') damage(folder);
    const firstNumber = 1 + life * NUMBERS_PER_LIFE;
    const entries = recordLife({ ...chain, folder, trace, seed: seed(), firstNumber, course });
    const cuts = Math.floor(chain.cuts / LIVES) + (life < chain.cuts % LIVES ? 1 : 0);
    const seeds = Array.from({ length: cuts }, seed);
    const harmless: number[] = [];
    for (const cut of cutAll(entries, seeds, join(chain.folder, 'cut'))) {
      report({ trace, ...cut });
      if (cut.inspection.problems.length === 0) harmless.push(cut.seed);
    }
    if (harmless.length === cuts) rmSync(trace);
    // A record lost by one cut must not count as lost by the cuts of the next run.
    const next = harmless[Math.floor(entropy.float() * harmless.length)];
    if (next === undefined) rmSync(folder, { recursive: true });
    else cutForNextLife(entries, next, folder);
  }
}

/** Makes the file no database, and its log no log; says that what was in them is excused. */
function damage(folder: string): void {
  for (const name of ['buffer.db', 'buffer.db-wal'].map((name) => join(folder, name))) {
    if (!existsSync(name)) continue;
    const bytes = readFileSync(name);
    writeFileSync(name, bytes.fill('damaged ', 0, 4096));
  }
  const mark: Mark = { say: 'damaged' };
  mkdirSync(folder, { recursive: true });
  appendFileSync(join(folder, MARKS), `${JSON.stringify(mark)}\n`);
}

if (parentPort === null) throw new Error('test/powercut/chain is a thread entry');
const port = parentPort;
run(workerData as Chain, (report) => port.postMessage(report));
