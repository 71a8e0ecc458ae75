/** A gate that a test opens and closes by hand. */
import type { IntakeGate } from '../../../router/sources/source.ts';

export class HandGate implements IntakeGate {
  #opened = Promise.withResolvers<void>();
  isOpen: boolean = true;
  /** How many wait for it. */
  waiting = 0;

  close(): void {
    this.isOpen = false;
    this.#opened = Promise.withResolvers();
  }

  open(): void {
    this.isOpen = true;
    this.#opened.resolve();
  }

  async opened(signal: AbortSignal): Promise<void> {
    if (this.isOpen || signal.aborted) return;
    const gone = new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    this.waiting += 1;
    await Promise.race([this.#opened.promise, gone]);
    this.waiting -= 1;
  }
}
