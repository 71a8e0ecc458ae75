/** An agent and a router of one test, which starts each of them again under other configurations. */
import { join } from 'node:path';
import type { Test } from 'tap';
import { Program } from '../attack/world/program.ts';

type Kind = 'agent' | 'router';

interface Programs {
  /** Ends the program of this kind that runs. */
  start(kind: Kind, config: Record<string, unknown>): Promise<Program>;
  stop(kind: Kind): Promise<unknown>;
}

/** Both work in `dir`, and end with the test. */
export function restartedPrograms(t: Test, dir: string): Programs {
  const running = new Map<Kind, Program>();
  t.teardown(() => Promise.all([...running.values()].map((program) => program.stop())));
  const stop = async (kind: Kind): Promise<unknown> => running.get(kind)?.stop();
  return {
    stop,
    async start(kind, config) {
      await stop(kind);
      const program = await Program.start(kind, join(dir, kind), config);
      running.set(kind, program);
      return program;
    },
  };
}
