/** The erasures with their actors: one message each, replaced as its counts grow. */

import type { Erasure, ErasureTarget } from '../types.ts';
import type { Connection } from './connection.ts';
import type { Names } from './names.ts';

export class ErasureStore {
  readonly #connection: Connection;
  readonly #names: Names;

  constructor(connection: Connection, names: Names) {
    this.#connection = connection;
    this.#names = names;
  }

  async begin({ device, gateway }: ErasureTarget, actor: string, startedWallMs: number): Promise<Erasure> {
    const counts = { finishedWallMs: null, records: 0, versions: 0, deadLetters: 0 };
    for (;;) {
      const { last } = await this.#connection.extent(this.#names.cursors);
      const [newest] = await this.newest(1);
      const id = (newest?.id ?? 0) + 1;
      const erasure = { id, device, gateway, actor, startedWallMs, ...counts };
      const { cursors } = this.#names;
      const subject = this.#names.erasure(id);
      const seq = await this.#connection.publishAfter(cursors, subject, last, bytesOf(erasure));
      if (seq !== null) return erasure;
    }
  }

  async save(erasure: Erasure): Promise<void> {
    await this.#connection.publish(this.#names.erasure(erasure.id), bytesOf(erasure));
  }

  /** The newest first, at most `limit`. */
  async newest(limit: number): Promise<Erasure[]> {
    // A message that is replaced meanwhile may be listed twice.
    const found = new Map<number, Erasure>();
    for await (const { data } of this.#connection.list(this.#names.cursors, this.#names.erasures)) {
      const erasure: Erasure = JSON.parse(Buffer.from(data).toString());
      found.set(erasure.id, erasure);
    }
    return [...found.values()].sort((a, b) => b.id - a.id).slice(0, limit);
  }
}

function bytesOf(erasure: Erasure): Uint8Array {
  return Buffer.from(JSON.stringify(erasure));
}
