/**
 * The private keys that open sealed envelopes: `<data_dir>/seal-keys`, and `sealing.key_files`. Read again
 * while the router runs, so that a rotation needs no restart. A key that cannot be read stays in force when
 * it was read before.
 */
import { createPublicKey } from 'node:crypto';
import type { Clock } from '../../shared/clock.ts';
import type { Logger } from '../../shared/log.ts';
import { type KeyPair, keyPairOf } from '../../shared/sealing/content-key.ts';
import { SEALING, sealKeyFolder } from '../../shared/sealing/seal-key.ts';
import type { Service } from '../../shared/service.ts';
import { readKeyFile, readKeys } from '../../shared/signing/key-folder.ts';
import type { Signer } from '../../shared/signing/signature.ts';
import { WatchedFile } from '../../shared/watched-file.ts';

export interface SealKeysConfig {
  data_dir: string;
  sealing: { key_files: readonly string[] };
}

export class SealKeys implements Service {
  readonly #config: SealKeysConfig;
  readonly #log: Logger;
  readonly #watched: WatchedFile;
  #pairs: ReadonlyMap<string, KeyPair> = new Map();
  #isRead = false;

  constructor(config: SealKeysConfig, { clock, log }: { clock: Clock; log: Logger }) {
    this.#config = config;
    this.#log = log;
    const onProblem = (problem: string): void =>
      log.error({ event: 'seal_keys.unusable', problem, inForce: this.keyIds });
    this.#watched = new WatchedFile({ file: null, take: () => this.#readAll(), onProblem, clock });
  }

  start(): Promise<void> {
    return this.#watched.start();
  }

  stop(): Promise<void> {
    return this.#watched.stop();
  }

  /** Whether the keys were ever read in full. */
  get isRead(): boolean {
    return this.#isRead;
  }

  get keyIds(): string[] {
    return [...this.#pairs.keys()];
  }

  /** A key by its id; null for one that is not here. */
  pair(keyId: string): KeyPair | null {
    return this.#pairs.get(keyId) ?? null;
  }

  /** Never rejects. */
  read(): Promise<void> {
    return this.#watched.read();
  }

  async #readAll(): Promise<string | null> {
    const { data_dir: dataDir, sealing } = this.#config;
    const { keys, problems } = await readKeys(sealKeyFolder(dataDir), SEALING);
    const signers = keys.map(({ signer }) => signer);
    for (const file of sealing.key_files) {
      const read = await readKeyFile(file, SEALING);
      if ('problem' in read) problems.push(`${file}: ${read.problem}`);
      else signers.push(read.signer);
    }
    this.#isRead ||= problems.length === 0;
    await this.#take(signers, problems.length > 0);
    return problems.length === 0 ? null : problems.join('; ');
  }

  async #take(signers: readonly Signer[], isPartial: boolean): Promise<void> {
    const pairs = new Map(isPartial ? this.#pairs : []);
    for (const { keyId, key } of signers)
      pairs.set(keyId, this.#pairs.get(keyId) ?? (await keyPairOf(key, createPublicKey(key))));
    const before = this.keyIds.join(' ');
    this.#pairs = pairs;
    if (this.keyIds.join(' ') !== before) this.#log.info({ event: 'seal_keys.read', keyIds: this.keyIds });
  }
}
