/**
 * The public keys of the routers, which sign receipts: from agent.yaml, or from a file that an operator edits
 * while the agent runs. After a failed read, or of an invalid file, the last valid keys stay in force; before
 * the first valid file no receipt is verified. No fault of the file stops intake (I9).
 */
import type { KeyObject } from 'node:crypto';
import { open } from 'node:fs/promises';
import { z } from 'zod';
import type { Clock } from '../../shared/clock.ts';
import type { Logger } from '../../shared/log.ts';
import type { Service } from '../../shared/service.ts';
import {
  PUBLIC_KEYS_BYTES_MAX,
  PUBLIC_KEYS_MAX,
  type PublicKeys,
  readPublicKeys,
} from '../../shared/signing/public-keys.ts';
import { WatchedFile } from '../../shared/watched-file.ts';
import type { ReceiptTrust } from './receiver.ts';

const pem = z.string().superRefine((text, context) => {
  const read = readPublicKeys(text);
  if ('problem' in read) context.addIssue({ code: 'custom', message: read.problem });
});

export const receiptTrustSchema = z
  .strictObject({
    accept: z
      .enum(['signed', 'any'])
      .optional()
      .describe(
        'signed: only receipts that one of the routers’ keys has signed. any: also unsigned ones. Absent: any, with a warning.',
      ),
    router_keys: z
      .array(pem)
      .min(1)
      .max(PUBLIC_KEYS_MAX)
      .optional()
      .describe('The routers’ public keys in PEM; headgate keys export prints them.'),
    router_keys_file: z
      .string()
      .min(1)
      .optional()
      .describe(
        'PEM file with the routers’ public keys, instead of router_keys. Read again when it changes.',
      ),
  })
  .superRefine(({ accept, router_keys: keys, router_keys_file: file }, context) => {
    if (keys !== undefined && file !== undefined)
      context.addIssue({
        code: 'custom',
        path: ['router_keys_file'],
        message: 'router_keys and router_keys_file are both given',
        params: { hint: 'keep one of the two' },
      });
    if (accept === 'signed' && keys === undefined && file === undefined)
      context.addIssue({
        code: 'custom',
        path: ['accept'],
        message: 'no key is known that could have signed',
        params: { hint: 'give router_keys_file, beside accept' },
      });
  })
  .describe('Whose receipts count. A receipt frees rows of streams with until: receipt.');

interface RouterKeysConfig {
  receipts: z.output<typeof receiptTrustSchema>;
  downlinks: readonly unknown[];
}

export class RouterKeys implements Service, ReceiptTrust {
  readonly accept: ReceiptTrust['accept'];
  /** Downlinks bring receipts, and nobody said whose count. */
  readonly #isUndecided: boolean;
  /** Null where the configuration has the keys. */
  readonly #watched: WatchedFile | null;
  readonly #log: Logger;
  #keys: PublicKeys = new Map();

  constructor({ receipts, downlinks }: RouterKeysConfig, { clock, log }: { clock: Clock; log: Logger }) {
    this.accept = receipts.accept ?? 'any';
    this.#isUndecided = receipts.accept === undefined && downlinks.length > 0;
    this.#log = log;
    const given = readPublicKeys((receipts.router_keys ?? []).join('\n'));
    if ('keys' in given) this.#keys = given.keys;
    const file = receipts.router_keys_file;
    const onProblem = (problem: string): void =>
      log.error({ event: 'receipts.keys_not_read', file, problem, inForce: this.#keys.size });
    this.#watched =
      file === undefined ? null : new WatchedFile({ file, take: () => this.#take(file), onProblem, clock });
  }

  /** Reads the file and watches it. An agent that takes unsigned receipts without saying so is told once. */
  async start(): Promise<void> {
    if (this.#isUndecided)
      this.#log.warn({ event: 'receipts.accepts_unsigned', hint: 'set receipts.accept: signed, or any' });
    await this.#watched?.start();
  }

  async stop(): Promise<void> {
    await this.#watched?.stop();
  }

  /** Ids of the keys in force. */
  get ids(): string[] {
    return [...this.#keys.keys()];
  }

  /** Null for a key that is not known. */
  keyOf(keyId: string): KeyObject | null {
    return this.#keys.get(keyId) ?? null;
  }

  /** Reads the file where it has changed. Never rejects. */
  async read(): Promise<void> {
    await this.#watched?.read();
  }

  async #take(file: string): Promise<string | null> {
    const read = readPublicKeys(await textOf(file));
    if ('problem' in read) return read.problem;
    this.#keys = read.keys;
    this.#log.info({ event: 'receipts.keys_read', file, keys: this.ids });
    return null;
  }
}

/** No more than a list of keys may have. */
async function textOf(file: string): Promise<string> {
  const handle = await open(file);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(PUBLIC_KEYS_BYTES_MAX + 1));
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await handle.close();
  }
}
