/**
 * Hostile configuration files of a seed: each is taken or refused with a report that has no secret.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Test } from 'tap';
import { loadAgentConfig } from '../../../agent/config/config.ts';
import { loadRouterConfig } from '../../../router/config.ts';
import { formatProblems, loadConfig, type ReferenceSources } from '../../../shared/config/load.ts';
import { seededEntropy } from '../../../shared/entropy.ts';
import { policySchema } from '../../../shared/policy/policy.ts';
import { testSeed } from '../../seed.ts';
import { type HostileDocument, hostileDocument, SECRET_MARK } from './documents.ts';

/** Of the process, for one document: a thousand times what an example takes. CPU, not time that passed. */
const CPU_MS_MAX = 5000;
const HEAP_GROWTH_MIB_MAX = 64;
/** Problems and their texts are bounded, whatever the file has. */
const REPORT_LENGTH_MAX = 100_000;
const FAILURES_SHOWN = 5;

/** Loads so many documents. `HEADGATE_SEED` replays a run from its first document on. */
export async function survivesDocuments(t: Test, documents: number): Promise<void> {
  const seed = testSeed();
  t.comment(`HEADGATE_SEED=${seed} replays it`);
  const failures: string[] = [];
  const told = (warning: Error): unknown => failures.push(`the console gets a warning: ${warning.message}`);
  process.on('warning', told);
  let refused = 0;
  let slowest = { seed, cpuMs: 0 };
  let heapBytes = 0;
  for (let i = 0; i < documents && failures.length < FAILURES_SHOWN; i += 1) {
    const document = hostileDocument(seededEntropy(seed + i));
    const before = process.cpuUsage();
    const { isTaken, failure } = judged(document);
    const { user, system } = process.cpuUsage(before);
    const cpuMs = (user + system) / 1000;
    if (cpuMs > slowest.cpuMs) slowest = { seed: seed + i, cpuMs };
    if (!isTaken) refused += 1;
    if (failure !== null) failures.push(`HEADGATE_SEED=${seed + i}: ${failure}`);
    if (i === Math.floor(documents / 10)) heapBytes = collectedHeap();
  }
  // Warnings come in the next turn.
  await new Promise((resolve) => setImmediate(resolve));
  process.off('warning', told);
  const grownMiB = (collectedHeap() - heapBytes) / 2 ** 20;
  t.same(failures, []);
  t.ok(refused > documents / 2 && refused < documents, `${refused} of ${documents} are refused`);
  t.ok(slowest.cpuMs < CPU_MS_MAX, `the slowest took ${slowest.cpuMs.toFixed(1)} ms of CPU: ${slowest.seed}`);
  t.ok(grownMiB < HEAP_GROWTH_MIB_MAX, `the heap grew by ${grownMiB.toFixed(1)} MiB`);
  t.notOk(Reflect.has({}, 'polluted'), 'no prototype is changed');
}

/** Loads one document; the failure says which promise is broken. */
function judged({ kind, text, env, files }: HostileDocument): { isTaken: boolean; failure: string | null } {
  const sources: ReferenceSources = {
    env,
    readFile(file) {
      const content = file === 'a.yaml' ? text : files[file];
      if (content === undefined) throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
      return content;
    },
  };
  try {
    const result =
      kind === 'agent'
        ? loadAgentConfig('a.yaml', sources)
        : kind === 'router'
          ? loadRouterConfig('a.yaml', sources)
          : loadConfig('a.yaml', policySchema, sources);
    if (result.ok) return { isTaken: true, failure: null };
    const report = formatProblems(result.problems) + JSON.stringify(result.problems);
    const at = report.indexOf(SECRET_MARK);
    if (at !== -1)
      return { isTaken: false, failure: `a secret: ${report.slice(Math.max(0, at - 200), at + 30)}` };
    if (result.problems.length === 0) return { isTaken: false, failure: 'refused without a problem' };
    if (report.length > REPORT_LENGTH_MAX)
      return { isTaken: false, failure: `a report of ${report.length} characters` };
    return { isTaken: false, failure: null };
  } catch (error) {
    return { isTaken: false, failure: `threw ${error instanceof Error ? error.stack : String(error)}` };
  }
}

function collectedHeap(): number {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
  return process.memoryUsage().heapUsed;
}
