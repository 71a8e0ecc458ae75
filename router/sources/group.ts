/**
 * How a router ends without leaving anything to be done twice: the sources take nothing new and settle what
 * they have in hand, which waits for its commit; only then the feeds end, each after the batch in its hand.
 * Every step has its own bound, and the parts of a step end side by side, so that one that is stuck takes no
 * time from another.
 */
import { type Service, stopAll, stopTogether } from '../../shared/service.ts';
import type { Ingest } from '../ingest/ingest.ts';
import type { Source } from './source.ts';

export interface Intake extends Service {
  /** Why the router takes nothing, for `/readyz`; null while it does. */
  closed(): string | null;
}

/** The sources and what takes their messages in. */
export function createIntake(sources: readonly Source[], ingest: Ingest): Intake {
  let closed: string | null = 'the router is starting';
  return {
    async start() {
      await Promise.all(sources.map((source) => source.start(ingest.handler)));
      closed = null;
    },
    async stop() {
      closed = 'the router is stopping';
      await stopAll([() => stopTogether(sources.map((source) => () => source.stop())), () => ingest.drain()]);
    },
    closed: () => closed,
  };
}

/** Services that start and stop side by side. */
export function together(services: readonly Service[]): Service {
  return {
    async start() {
      await Promise.all(services.map((service) => service.start()));
    },
    stop: () => stopTogether(services.map((service) => () => service.stop())),
  };
}
