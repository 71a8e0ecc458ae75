/**
 * Debian's redis-server without persistence, and a client that pipelines `SET key 1 NX` (redis.io, "RESP
 * protocol spec").
 */

import { existsSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { freePort, type Workshop } from './programs.ts';

const REDIS = '/usr/bin/redis-server';
const NEWLINE = 10;

export class Redis {
  readonly #socket: Socket;
  #replies = 0;
  #awaited = 0;
  #answered: () => void = () => undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    // `+OK` for a new key, `$-1` for an existing one: one line each.
    socket.on('data', (piece: Buffer) => {
      for (const byte of piece) if (byte === NEWLINE) this.#replies += 1;
      if (this.#replies >= this.#awaited) this.#answered();
    });
  }

  static async start(shop: Workshop): Promise<Redis> {
    if (!existsSync(REDIS)) throw new Error('no redis-server: apt-get install redis-server');
    const port = await freePort();
    const args = [
      '--port',
      String(port),
      '--bind',
      '127.0.0.1',
      '--save',
      '',
      '--appendonly',
      'no',
      '--loglevel',
      'warning',
    ];
    await shop.start(REDIS, [...args, '--dir', shop.folder], port);
    const socket = connect(port, '127.0.0.1');
    await new Promise((resolve) => socket.once('connect', resolve));
    return new Redis(socket);
  }

  /** Sets each key that does not exist, all in one write; resolves when all are answered. */
  setNew(keys: readonly string[]): Promise<void> {
    let text = '';
    for (const key of keys) text += `*4\r\n$3\r\nSET\r\n$${key.length}\r\n${key}\r\n$1\r\n1\r\n$2\r\nNX\r\n`;
    this.#awaited = this.#replies + keys.length;
    const answered = new Promise<void>((resolve) => {
      this.#answered = resolve;
    });
    this.#socket.write(text);
    return answered;
  }

  close(): void {
    this.#socket.destroy();
  }
}
