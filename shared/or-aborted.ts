/** Resolves at `event`, or when `signal` aborts. A long-lived signal keeps no reference to the event. */
export async function orAborted(event: Promise<unknown> | undefined, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const { promise: aborted, resolve } = Promise.withResolvers<void>();
  const end = (): void => resolve();
  signal.addEventListener('abort', end, { once: true });
  await Promise.race([event, aborted]).finally(() => signal.removeEventListener('abort', end));
}
