/** Replicas fed from one queue, started again whenever one dies. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { envelopeBytes } from './feed.ts';
import { encodeFrame, frameReader } from './frames.ts';
import type { Queue } from './queue.ts';

const SCRIPT = fileURLToPath(new URL('./replica.ts', import.meta.url));
/** Messages that one replica has in hand, as a client of a cloud prefetches. */
const WINDOW = 32;
/** An error at its start, such as a server that is away, is not tried again at once. */
const RESTART_MS = 250;
const RETRY_MS = 200;

export class Replica {
  readonly #ledgerConfig: string;
  readonly #queue: Queue;
  readonly #inHand = new Set<number>();
  #child: ChildProcess | null = null;
  #ended: Promise<void> = Promise.resolve();
  #stopping: boolean = false;
  #settling: boolean = false;

  constructor(ledgerConfig: unknown, queue: Queue) {
    this.#ledgerConfig = JSON.stringify(ledgerConfig);
    this.#queue = queue;
  }

  start(): void {
    const child = spawn(process.execPath, [SCRIPT, this.#ledgerConfig], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#child = child;
    this.#settling = false;
    const read = frameReader(({ id, tag }) => {
      this.#inHand.delete(id);
      this.#settling ||= tag === 1;
      if (tag === 1) this.#queue.settle(id);
      else setTimeout(() => this.#queue.putBack(id), RETRY_MS);
      this.fill();
    });
    child.stdout?.on('data', read);
    // Written to while it is being killed.
    child.stdin?.on('error', () => undefined);
    this.#ended = new Promise((resolve) => {
      child.once('close', () => {
        this.#child = null;
        for (const id of this.#inHand) this.#queue.putBack(id);
        this.#inHand.clear();
        resolve();
        setTimeout(() => {
          // It may be stopped while it rests.
          if (!this.#stopping) this.start();
        }, RESTART_MS);
      });
    });
    this.fill();
  }

  /**
   * SIGKILL; false when it was not running, or has settled nothing in this life: every life gets on, however
   * slow the machine.
   */
  kill(): boolean {
    return this.#settling && (this.#child?.kill('SIGKILL') ?? false);
  }

  /** Hands over messages up to the window. */
  fill(): void {
    while (this.#child !== null && !this.#stopping && this.#inHand.size < WINDOW) {
      const message = this.#queue.take();
      if (message === null) return;
      this.#inHand.add(message.id);
      const { id, envelope, deliveryCount } = message;
      const bytes = envelopeBytes(envelope);
      this.#child.stdin?.write(encodeFrame({ id, tag: envelope.source, deliveryCount, bytes }));
    }
  }

  /** Lets it finish and close its ledger. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#child?.stdin?.end();
    await this.#ended;
  }
}
