import { createHmac } from 'node:crypto';
import { type FileHandle, open, readFile } from 'node:fs/promises';
import type {
  OutboundEnvelope,
  Outcome,
  PublishAttempt,
  Publisher,
} from '../../../../../agent/providers/publisher.ts';
import { Tries, type Try } from '../../../../../agent/providers/tries.ts';
import type { Clock } from '../../../../../shared/clock.ts';
import { errorText } from '../../../../../shared/log.ts';
import type { FileOptions } from './options.ts';

/** Lines are appended one after the other. */
const IN_FLIGHT_MAX = 1;

/** Rejects when the key is not readable, or the file cannot be opened. */
export async function openFilePublisher(
  options: FileOptions,
  { clock }: { clock: Clock },
): Promise<Publisher> {
  const key = await readFile(options.key_file);
  return new FilePublisher(key, await open(options.path, 'a'), clock);
}

class FilePublisher implements Publisher {
  readonly type = 'file';
  readonly maxEnvelopeBytes = 1024 * 1024;
  readonly #key: Buffer;
  readonly #file: FileHandle;
  readonly #tries: Tries;

  constructor(key: Buffer, file: FileHandle, clock: Clock) {
    this.#key = key;
    this.#file = file;
    this.#tries = new Tries(clock, IN_FLIGHT_MAX);
  }

  publish(message: OutboundEnvelope, attempt: PublishAttempt): Promise<Outcome> {
    return this.#tries.run(attempt, (one) => this.#append(message, one));
  }

  async close(): Promise<void> {
    this.#tries.close();
    await this.#file.close();
  }

  async #append({ bytes }: OutboundEnvelope, one: Try): Promise<Outcome> {
    const text = Buffer.from(bytes).toString('base64');
    const signature = createHmac('sha256', this.#key).update(text).digest('hex');
    // From here on it may be there; a file takes nothing back.
    if (!one.leaves(false)) return one.over;
    try {
      await this.#file.appendFile(`${signature} ${text}\n`);
      return { kind: 'accepted' };
    } catch (error) {
      return { kind: 'unknown', cause: 'connection-lost', detail: errorText(error) };
    }
  }
}
