/** Runs test files side by side, prints a line for each, and at the end what failed and the counts. */
import { endAll, FILE_MS_MAX, type FileResult, ROOT, runFile } from './run-file.ts';
import { bundleTap } from './tap-bundle.ts';

/** Lines of a failed file that are printed again at the end. */
const TOLD_LINES_MAX = 60;

export interface RunOptions {
  /** Files that run at once. */
  jobs: number;
  /** Prints all that each file printed, not only that of those which failed. */
  isVerbose?: boolean;
  /** How long a file may take, in milliseconds. */
  fileMsMax?: number;
}

/** Runs `files` in their order, to the end; resolves with whether all passed. */
export async function runFiles(
  files: readonly string[],
  { jobs, isVerbose = false, fileMsMax = FILE_MS_MAX }: RunOptions,
): Promise<boolean> {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      endAll();
      process.exit(1);
    });
  }
  const startedMs = performance.now();
  const tap = await bundleTap(ROOT);
  const waiting = [...files];
  const results: FileResult[] = [];
  console.log(`TAP version 14\n1..${files.length}`);
  const worker = async (): Promise<void> => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const result = await runFile(file, tap, fileMsMax);
      results.push(result);
      console.log(lineOf(result, results.length));
      if (result.failure !== null || isVerbose) console.log(indent(result.output));
    }
  };
  await Promise.all(Array.from({ length: jobs }, worker));
  console.log(report(results, performance.now() - startedMs));
  return results.every(({ failure }) => failure === null);
}

function lineOf({ file, failure, tookMs, passed }: FileResult, number: number): string {
  const took = `${(tookMs / 1000).toFixed(1)} s`;
  if (failure !== null) return `not ok ${number} - ${file} # ${failure}, ${took}`;
  return `ok ${number} - ${file} # ${passed} assertions, ${took}`;
}

/** The failures, told once more: thousands of lines may lie above them. The last line counts. */
function report(results: readonly FileResult[], tookMs: number): string {
  const bad = results.filter(({ failure }) => failure !== null);
  const sum = (key: 'passed' | 'failed' | 'skipped'): number => results.reduce((sum, r) => sum + r[key], 0);
  const failed = sum('failed');
  return [
    ...bad.flatMap((result) => [`# FAILED ${result.file}: ${result.failure}`, indent(failedPart(result))]),
    `# ${results.length} files, ${bad.length} failed; ${(tookMs / 1000).toFixed(0)} s`,
    `# { total: ${sum('passed') + failed}, pass: ${sum('passed')}, fail: ${failed}, skip: ${sum('skipped')} }`,
  ].join('\n');
}

/** From the first failed assertion on; the end of the output where there is none. */
function failedPart({ output }: FileResult): string {
  const lines = output.trimEnd().split('\n');
  const first = lines.findIndex((line) => /^ *not ok /.test(line));
  return (first === -1 ? lines.slice(-TOLD_LINES_MAX) : lines.slice(first, first + TOLD_LINES_MAX)).join(
    '\n',
  );
}

function indent(text: string): string {
  return text.trimEnd().replaceAll(/^/gm, '    ');
}
