/** Resolves with `event`, or once `signal` aborts. A signal that lives on keeps nothing of it. */
export async function orAborted(event: Promise<unknown> | undefined, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const { promise: aborted, resolve } = Promise.withResolvers<void>();
  const end = (): void => resolve();
  signal.addEventListener('abort', end, { once: true });
  await Promise.race([event, aborted]).finally(() => signal.removeEventListener('abort', end));
}
