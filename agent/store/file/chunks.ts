/** The chunks of one (epoch, stream): in the file, or in memory for a memory stream. */
import { CHUNK_RECORDS_MAX, type Chunk, type ChunkHead } from './chunk.ts';
import type { Statements } from './statements.ts';

export interface Chunks {
  /** Copies the body. */
  insert(chunk: Chunk): void;
  /** Chunks with a record in `first..last`, ascending. */
  overlapping(first: number, last: number): Iterable<Chunk>;
  heads(first: number, last: number): ChunkHead[];
  /** At most `count` of the oldest chunks, ascending. */
  oldest(count: number): ChunkHead[];
  /** Removes the chunks that lie entirely in `first..last`; returns their bytes. */
  removeWithin(first: number, last: number): number;
}

export class FileChunks implements Chunks {
  readonly #sql: Statements;
  readonly #stream: number;

  constructor(sql: Statements, stream: number) {
    this.#sql = sql;
    this.#stream = stream;
  }

  insert({ first, last, monoMs, bytes, body }: Chunk): void {
    this.#sql.insertChunk.run(this.#stream, first, last, monoMs, bytes, body);
  }

  overlapping(first: number, last: number): Iterable<Chunk> {
    return this.#sql.chunksOf.iterate(this.#stream, first - CHUNK_RECORDS_MAX, last, first);
  }

  heads(first: number, last: number): ChunkHead[] {
    return this.#sql.chunkHeads.all(this.#stream, first - CHUNK_RECORDS_MAX, last, first);
  }

  oldest(count: number): ChunkHead[] {
    return this.#sql.oldestChunks.all(this.#stream, count);
  }

  removeWithin(first: number, last: number): number {
    const bytes = this.#sql.chunkBytes.get(this.#stream, first, last, last)?.bytes ?? 0;
    if (bytes > 0) this.#sql.deleteChunks.run(this.#stream, first, last, last);
    return bytes;
  }
}

export class MemoryChunks implements Chunks {
  /** Ascending by `first`: seqs are given in order. */
  #chunks: Chunk[] = [];

  insert(chunk: Chunk): void {
    this.#chunks.push({ ...chunk, body: Uint8Array.from(chunk.body) });
  }

  overlapping(first: number, last: number): Iterable<Chunk> {
    return this.#chunks.filter((chunk) => chunk.first <= last && chunk.last >= first);
  }

  heads(first: number, last: number): ChunkHead[] {
    return [...this.overlapping(first, last)];
  }

  oldest(count: number): ChunkHead[] {
    return this.#chunks.slice(0, count);
  }

  removeWithin(first: number, last: number): number {
    let bytes = 0;
    this.#chunks = this.#chunks.filter((chunk) => {
      const isWithin = chunk.first >= first && chunk.last <= last;
      if (isWithin) bytes += chunk.bytes;
      return !isWithin;
    });
    return bytes;
  }
}
