/**
 * Puts the entries of the audit log into the buffer, in their order, as records of the stream `_audit`.
 * Commands write entries too, so the log is looked at every second. `shipped.json` holds the last entry that
 * the buffer has; a kill between the two puts an entry in twice, and none is left out.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { AUDIT_STREAM, AUDIT_TOPIC, type AuditLog, type ChainedEntry } from '../../shared/audit/audit-log.ts';
import type { Clock, Timer } from '../../shared/clock.ts';
import { errorText, type Logger } from '../../shared/log.ts';
import type { Service } from '../../shared/service.ts';
import { readStateFile, writeStateFile } from '../runtime/state-file.ts';
import type { Store } from '../store/store.ts';

const POLL_MS = 1000;

const shippedSchema = z.strictObject({ log: z.string(), seq: z.number(), hash: z.string() });

type Shipped = z.output<typeof shippedSchema>;

interface AuditShipperOptions {
  audit: AuditLog;
  /** `<data_dir>/audit`. */
  folder: string;
  store: Pick<Store, 'append'>;
  clock: Clock;
  log: Logger;
}

export class AuditShipper implements Service {
  readonly #options: AuditShipperOptions;
  #timer: Timer | null = null;
  #running: Promise<void> | null = null;
  /** Of the log, when all of it was in the buffer. */
  #stamp = '';
  /** The last error, as logged; empty after a success. */
  #told = '';

  constructor(options: AuditShipperOptions) {
    this.#options = options;
  }

  start(): Promise<void> {
    this.#timer = this.#options.clock.every(POLL_MS, () => {
      this.#running ??= this.#look().finally(() => {
        this.#running = null;
      });
    });
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = null;
    await this.#running;
  }

  /** Never rejects: a disk or a full buffer is tried again (I9). */
  async #look(): Promise<void> {
    const { audit, log } = this.#options;
    try {
      const stamp = await audit.stamp();
      if (stamp === this.#stamp || stamp === '') return;
      await this.#ship();
      this.#stamp = stamp;
      this.#told = '';
    } catch (error) {
      const text = errorText(error);
      if (text !== this.#told) log.warn({ event: 'audit.not_shipped', error: text });
      this.#told = text;
    }
  }

  async #ship(): Promise<void> {
    const { audit, folder, store, clock, log } = this.#options;
    const file = join(folder, 'shipped.json');
    const read = await readStateFile(file, shippedSchema);
    const shipped: Shipped | null = read.state === 'ok' ? read.value : null;
    const entries: ChainedEntry[] = [];
    let isKnown = shipped === null;
    await audit.check((one) => {
      const { log: name, seq } = one.entry;
      if (shipped && name === shipped.log && seq === shipped.seq && one.hash === shipped.hash) isKnown = true;
      if (shipped === null || name !== shipped.log || seq > shipped.seq) entries.push(one);
    });
    // The router gets what is there now, and finds that it contradicts what it has.
    if (!isKnown) log.error({ event: 'audit.rewritten', seq: shipped?.seq });
    for (const { entry, hash, line } of entries) {
      const payload = Buffer.from(line);
      const monoMs = Math.floor(clock.monoMs());
      await store.append({ stream: AUDIT_STREAM, device: AUDIT_STREAM, topic: AUDIT_TOPIC, payload, monoMs });
      await writeStateFile(file, { log: entry.log, seq: entry.seq, hash });
    }
  }
}
