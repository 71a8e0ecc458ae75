/**
 * A process of a bench that answers requests one at a time: it measures itself, and is started once for many
 * rounds.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { NODE_FLAGS } from './programs.ts';

/** Time of a run, measured by its own process. */
export interface Spent {
  cpuMs: number;
  wallMs: number;
}

type Answer<Result> = { result: Result } | { error: string };

export class Peer<Request, Result> {
  readonly #child: ChildProcess;

  /** `file`: a module of this folder that calls {@link answerRequests}. */
  constructor(file: string, argument: object) {
    const execArgv = [...NODE_FLAGS, ...peerFlags(file)];
    const module = new URL(`./${file}`, import.meta.url).pathname;
    this.#child = fork(module, [JSON.stringify(argument)], { execArgv, serialization: 'advanced' });
  }

  ask(request: Request): Promise<Result> {
    return new Promise((resolve, reject) => {
      const ended = (): void => reject(new Error('the process ended'));
      this.#child.once('exit', ended);
      this.#child.once('message', (answer: Answer<Result>) => {
        this.#child.off('exit', ended);
        if ('result' in answer) resolve(answer.result);
        else reject(new Error(answer.error));
      });
      this.#child.send(request as object);
    });
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.disconnect();
    await ended;
  }
}

/** The peer's side: answers until the bench disconnects. */
export function answerRequests<Request, Result>(answer: (request: Request) => Promise<Result>): void {
  process.on('message', (request: Request) => {
    answer(request).then(
      (result) => process.send?.({ result }),
      (error: unknown) =>
        process.send?.({ error: error instanceof Error ? `${error.stack}` : String(error) }),
    );
  });
  process.once('disconnect', () => process.exit());
}

/** `HEADGATE_BENCH_PROFILE=<folder>` writes a CPU profile of each peer. */
function peerFlags(file: string): string[] {
  const folder = process.env['HEADGATE_BENCH_PROFILE'];
  return folder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${folder}/${file}`];
}
