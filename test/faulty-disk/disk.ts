/** The disk of faulty-disk.c, as tests command it. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export class FaultyDisk {
  readonly #folder: string;

  /** Compiles the library into `folder`. Throws, with how to get a compiler, where there is none. */
  constructor(folder: string) {
    this.#folder = folder;
    const source = fileURLToPath(new URL('./faulty-disk.c', import.meta.url));
    const options = ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-shared', '-fPIC'];
    try {
      execFileSync('cc', [...options, '-o', this.#library, source, '-ldl', '-lpthread'], {
        stdio: ['ignore', 'inherit', 'inherit'],
      });
    } catch (error) {
      const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
      if (missing) throw new Error('there is no C compiler (cc): apt-get install gcc libc6-dev');
      throw error;
    }
    this.heal();
  }

  /** For the process whose buffer lies on it. */
  get env(): NodeJS.ProcessEnv {
    return {
      LD_PRELOAD: this.#library,
      FAULTY_DISK_PATH: 'buffer.db',
      FAULTY_DISK_CONTROL: this.#control,
    };
  }

  /** Each call of the kind fails; with `at`, only the one after so many. */
  fail(call: 'write' | 'sync' | 'open' | 'any', error: 'ENOSPC' | 'EIO' | 'EROFS', at?: number): void {
    const number = constants.errno[error];
    writeFileSync(this.#control, at === undefined ? `${call} ${number}` : `${call} ${number} ${at} once`);
  }

  /** Each sync takes so much longer. */
  delaySyncs(ms: number): void {
    writeFileSync(this.#control, `delay ${ms}`);
  }

  heal(): void {
    writeFileSync(this.#control, '');
  }

  get #library(): string {
    return join(this.#folder, 'faulty-disk.so');
  }

  get #control(): string {
    return join(this.#folder, 'fault');
  }
}
