/** `npm test`, `npm run test:unit`, `npm run test:slow`: runs the project's tests (test/runner/select.ts). */
import { availableParallelism } from 'node:os';
import { runFiles } from './runner/run-files.ts';
import { KINDS, type Kind, selectFiles } from './runner/select.ts';
import { readScript, whole } from './script.ts';

const { kind, jobs, files, isVerbose } = readScript(
  {
    command: 'node test/run.ts',
    argument: '[file or folder …]',
    does: 'Runs the tests, or those under the given files and folders. Exits 1 when one failed.',
    options: {
      kind: {
        takes: KINDS.join('|'),
        default: 'all',
        is: 'all that `npm test` runs, the quick ones among them, the slow ones, or those of a bad network',
      },
      jobs: {
        takes: 'N',
        // Most tests wait for a disk or a socket for a while: three for each core keep it busy.
        default: String(3 * availableParallelism()),
        is: 'files that run at once',
      },
      verbose: { is: 'prints all that every file prints' },
    },
    example: 'test/agent/store test/crash/crash.test.ts',
  },
  ({ kind, jobs, verbose: isVerbose }, places) => {
    if (!isKind(kind)) throw new Error(`--kind must be one of ${KINDS.join(', ')}`);
    const files = selectFiles(kind, places);
    if (files.length === 0) throw new Error(`no ${kind === 'all' ? '' : `${kind} `}test is there`);
    return { kind, jobs: whole('--jobs', jobs, 1), files, isVerbose };
  },
);

function isKind(text: string): text is Kind {
  return KINDS.some((kind) => kind === text);
}

/** Slow tests take minutes each, and fill the machine by themselves. */
const SLOW_FILE_MS_MAX = 2_700_000;
const isSlow = kind === 'slow' || kind === 'weather';
const options = isSlow ? { jobs: 1, isVerbose, fileMsMax: SLOW_FILE_MS_MAX } : { jobs, isVerbose };
process.exitCode = (await runFiles(files, options)) ? 0 : 1;
