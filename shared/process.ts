/** How a long-running command ends: on SIGTERM or SIGINT, once, with a bound. */
import type { Clock } from './clock.ts';
import { errorText, type Logger } from './log.ts';
import type { Service } from './service.ts';

const STOP_MS_MAX = 10_000;

/**
 * Runs services until the process is told to stop, then stops them in reverse order. Resolves with the exit
 * code: 0 after a clean stop, 1 when a part failed to stop or took longer than ten seconds.
 */
export async function runUntilStopped(
  services: readonly Service[],
  clock: Clock,
  log: Logger,
): Promise<number> {
  const signalled = stopSignal();
  const started: Service[] = [];
  try {
    for (const service of services) {
      started.push(service);
      await service.start();
    }
    log.info({ event: 'process.ready' });
    log.info({ event: 'process.stopping', signal: await signalled });
  } catch (error) {
    log.fatal({ event: 'process.start_failed', error: errorText(error) });
    await stopReversed(started, clock, log);
    throw error;
  }
  const clean = await stopReversed(started, clock, log);
  log.info({ event: 'process.stopped', clean });
  return clean ? 0 : 1;
}

/**
 * Resolves with the first SIGTERM or SIGINT. Without a terminal's SIGINT, also when the parent's IPC channel
 * closes.
 */
export function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    // For good, not once: npm passes Ctrl-C on to a process that already got it from the terminal.
    process.on('SIGTERM', () => resolve('SIGTERM'));
    process.on('SIGINT', () => resolve('SIGINT'));
    // A parent that died while this process was starting has closed the channel already.
    if (process.connected === false) resolve('disconnect');
    if (process.channel) process.once('disconnect', () => resolve('disconnect'));
  });
}

async function stopReversed(services: readonly Service[], clock: Clock, log: Logger): Promise<boolean> {
  let clean = true;
  const stopping = (async () => {
    for (const service of services.toReversed()) {
      await service.stop().catch((error: unknown) => {
        clean = false;
        log.error({ event: 'process.stop_failed', error: errorText(error) });
      });
    }
    return clean;
  })();
  // A sleep that is not ended would keep the process alive.
  const over = new AbortController();
  const ended = await Promise.race([stopping, clock.sleep(STOP_MS_MAX, over.signal).then(() => false)]);
  over.abort();
  return ended;
}
