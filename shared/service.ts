/**
 * The lifecycle of everything that runs: `start`, then `stop`. Stopping runs every step and reports all
 * failures.
 */

export interface Service {
  start(): Promise<void>;
  /** Idempotent. Stops the service; resolves when it has ended. */
  stop(): Promise<void>;
}

/** Runs each step in order, even when one fails; then throws one AggregateError when any did. */
export async function stopAll(steps: ReadonlyArray<() => Promise<void>>): Promise<void> {
  const failures: unknown[] = [];
  for (const step of steps) {
    try {
      await step();
    } catch (error) {
      failures.push(error);
    }
  }
  report(failures);
}

/** Runs all steps in parallel; then throws one AggregateError when any failed. */
export async function stopTogether(steps: ReadonlyArray<() => Promise<void>>): Promise<void> {
  const ends = await Promise.allSettled(steps.map((step) => step()));
  report(ends.flatMap((end) => (end.status === 'rejected' ? [end.reason] : [])));
}

/** Combines services that start and stop in parallel into one. */
export function startTogether(services: readonly Service[]): Service {
  return {
    async start() {
      await Promise.all(services.map((service) => service.start()));
    },
    stop: () => stopTogether(services.map((service) => () => service.stop())),
  };
}

function report(failures: readonly unknown[]): void {
  if (failures.length > 0) throw new AggregateError(failures, 'some parts did not stop cleanly');
}
