/**
 * Compares a dead agent's buffer with what devices were told. It reads a copy: opening repairs a file and
 * begins an epoch, and the file's own repair is for the next agent to do.
 */
import { copyFileSync, existsSync, rmSync } from 'node:fs';
import { decodeRecords, decodeState } from '../../agent/store/decode.ts';
import { BufferDatabase } from '../../agent/store/thread/database.ts';
import type { StoredRecord } from '../../agent/store/types.ts';
import { type Acknowledged, publishKey } from './fleet.ts';

const READ_BYTES = 2 ** 22;

export interface Finding {
  acked: number;
  /** Acknowledged publishes that have no record, and ids that were given and have none. */
  lost: number;
  /** Ids that stand for two different records, now or between two checks, and epochs that began twice. */
  duplicatedIds: number;
  /** Second records of acknowledged QoS 2 publishes. */
  qos2Doubled: number;
  records: number;
}

/** Checks one buffer again and again while it grows. Nothing leaves it, so what was once there must stay. */
export class Checker {
  readonly #file: string;
  /** Id → the publish it first stood for. */
  readonly #given = new Map<string, string>();
  readonly #epochs = new Set<string>();
  #doubledEpochs = 0;

  constructor(file: string) {
    this.#file = file;
  }

  /** An agent said that it began this epoch. */
  began(epoch: string): void {
    if (this.#epochs.has(epoch)) this.#doubledEpochs += 1;
    this.#epochs.add(epoch);
  }

  /** Call while no agent runs. */
  check(acknowledged: ReadonlyMap<string, Acknowledged>): Finding {
    const { records, missing } = readCopy(this.#file);
    const finding = {
      acked: acknowledged.size,
      lost: missing,
      duplicatedIds: this.#doubledEpochs,
      qos2Doubled: 0,
      records: records.length,
    };
    const found = new Map<string, number>();
    const ids = new Set<string>();
    for (const { id, publish } of records) {
      if (ids.has(id) || (this.#given.get(id) ?? publish) !== publish) finding.duplicatedIds += 1;
      ids.add(id);
      found.set(publish, (found.get(publish) ?? 0) + 1);
    }
    for (const id of this.#given.keys()) if (!ids.has(id)) finding.lost += 1;
    for (const { id, publish } of records) if (!this.#given.has(id)) this.#given.set(id, publish);
    for (const [publish, { qos }] of acknowledged) {
      const times = found.get(publish) ?? 0;
      if (times === 0) finding.lost += 1;
      if (qos === 2) finding.qos2Doubled += Math.max(0, times - 1);
    }
    return finding;
  }
}

interface Read {
  records: Array<{ id: string; publish: string }>;
  /** Ids below a stream's last that have no row. */
  missing: number;
}

function readCopy(file: string): Read {
  const copy = `${file}.copy`;
  for (const part of ['', '-wal']) {
    rmSync(copy + part, { force: true });
    if (existsSync(file + part)) copyFileSync(file + part, copy + part);
  }
  const clock = { bootId: 'checker', offsetMs: 0, quality: 'unsynchronised' } as const;
  const database = new BufferDatabase(copy, 'checker', clock);
  try {
    return readAll(database);
  } finally {
    database.close();
    rmSync(copy);
  }
}

function readAll(database: BufferDatabase): Read {
  const { streams, damage } = database.opened();
  if (damage) throw new Error(`the buffer is damaged: ${damage.detail}`);
  const read: Read = { records: [], missing: 0 };
  for (const { epoch, stream, pending } of streams.map(decodeState)) {
    const rows = rowsOf(database, epoch, stream);
    for (const { seq, device, topic, payload } of rows) {
      const publish = publishKey(device, topic, Buffer.from(payload).toString());
      read.records.push({ id: `${epoch}/${stream}/${seq}`, publish });
    }
    read.missing += pending.size - rows.filter(({ seq }) => pending.has(seq)).length;
  }
  return read;
}

function rowsOf(database: BufferDatabase, epoch: string, stream: string): StoredRecord[] {
  const rows: StoredRecord[] = [];
  for (let first = 1; ; first = (rows.at(-1)?.seq ?? 0) + 1) {
    const range = { epoch, stream, first, last: Number.MAX_SAFE_INTEGER, maxBytes: READ_BYTES };
    const part = decodeRecords(database.read(range));
    if (part.length === 0) return rows;
    rows.push(...part);
  }
}
