/**
 * The end of a long-running command: on any signal that a process can catch, once, within a time limit. A
 * signal's default action would end the process at once, and lose records that are acknowledged and not yet
 * on disk.
 */
import type { Clock } from './clock.ts';
import { errorText, type Logger } from './log.ts';
import type { Service } from './service.ts';

const STOP_MS_MAX = 10_000;

/**
 * Signals whose default action ends a process; signal(7). Without a listener, Node.js opens a debugger's port
 * on SIGUSR1. Excluded: SIGKILL, which cannot be caught, and the signals of a crash (SIGABRT, SIGSEGV,
 * SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS), after which the process must not write.
 */
const ENDING: readonly NodeJS.Signals[] = [
  'SIGTERM',
  'SIGINT',
  'SIGHUP',
  'SIGQUIT',
  'SIGUSR1',
  'SIGUSR2',
  'SIGALRM',
  'SIGVTALRM',
  'SIGXCPU',
  'SIGPWR',
  'SIGIO',
];
/** Ignored: the failed write itself reports an error (EPIPE, EFBIG). */
const PASSED_OVER: readonly NodeJS.Signals[] = ['SIGPIPE', 'SIGXFSZ'];

/**
 * Runs services until the process is told to stop, then stops them in reverse order. Resolves with the exit
 * code: 0 after a clean stop, 1 when a part failed to stop or took longer than ten seconds. `onHangup` is
 * called at SIGHUP in place of the end, unless the process belongs to a terminal, which then has hung up.
 */
export async function runUntilStopped(
  services: readonly Service[],
  clock: Clock,
  log: Logger,
  onHangup: (() => void) | null = null,
): Promise<number> {
  const signalled = stopSignal(process.stdin.isTTY ? null : onHangup);
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
 * Resolves with the name of the first signal that would end the process, or with `disconnect` when the
 * parent's IPC channel closes. `onHangup`: called at SIGHUP, which then ends nothing.
 */
export function stopSignal(onHangup: (() => void) | null = null): Promise<string> {
  return new Promise((resolve) => {
    const ending = ENDING.filter((signal) => onHangup === null || signal !== 'SIGHUP');
    // Permanent listeners: npm passes Ctrl-C on to a process that already got it from the terminal.
    for (const signal of ending) process.on(signal, () => resolve(signal));
    if (onHangup !== null) process.on('SIGHUP', onHangup);
    for (const signal of PASSED_OVER) process.on(signal, () => undefined);
    // A parent that died during this process's start has closed the channel already.
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
  // A running sleep would keep the process alive.
  const over = new AbortController();
  const ended = await Promise.race([stopping, clock.sleep(STOP_MS_MAX, over.signal).then(() => false)]);
  over.abort();
  return ended;
}
