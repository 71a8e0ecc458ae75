/**
 * Signs of life of a command that may take long, on stderr and only on a terminal: at the start a line that
 * says the work, then how long it has taken and how far it has come.
 */
import { systemClock } from '../shared/clock.ts';
import { foldedText } from '../shared/text-table.ts';
import { spanText } from './format.ts';

const SHOWN_EVERY_MS = 2000;

/** Takes how far the work has come: `120 of 4000 devices`. */
export type Report = (progress: string) => void;

/**
 * Runs `work` and passes its result or its error on. The line with `text` is written before `work` is called.
 * Silent with `json`, and where stderr is no terminal.
 */
export async function withProgress<T>(
  text: string,
  { json }: { json: boolean },
  work: (report: Report) => Promise<T>,
): Promise<T> {
  const { isTTY, columns } = process.stderr;
  if (json || !isTTY) return work(() => undefined);
  process.stderr.write(`${foldedText(`headgate: ${text}`, columns || Number.POSITIVE_INFINITY)}\n`);
  // Before the work: it may keep this thread for itself.
  const { createLogUpdate } = await import('log-update');
  const shown = createLogUpdate(process.stderr, { showCursor: true });
  const startedMs = systemClock.monoMs();
  let progress = '';
  const timer = systemClock.every(SHOWN_EVERY_MS, () =>
    shown(`  ${[spanText(systemClock.monoMs() - startedMs), progress].filter(Boolean).join(', ')}`),
  );
  try {
    return await work((told) => {
      progress = told;
    });
  } finally {
    timer.cancel();
    shown.clear();
  }
}
