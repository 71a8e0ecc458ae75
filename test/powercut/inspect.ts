/** Opens the folder left by a power cut, with the store's own code, and compares it with the promises. */
import { join } from 'node:path';
import { decodeRecords } from '../../agent/store/decode.ts';
import type { Opened } from '../../agent/store/protocol.ts';
import { BufferDatabase } from '../../agent/store/thread/database.ts';
import type { StoredRecord } from '../../agent/store/types.ts';
import { IntervalSet } from '../../shared/interval-set.ts';
import { errorText } from '../../shared/log.ts';
import type { Expected } from './expected.ts';
import { numberOf, recordOf } from './records.ts';

/**
 * The name of the epoch after the cut: no life uses it, so a name that was there before is the counter's
 * fault.
 */
const SUFFIX = 'ffffffff';
const CLOCK = { bootId: 'boot-2', offsetMs: 0, quality: 'unsynchronised' } as const;

export interface Inspection {
  /** Acknowledged records that had to be there. */
  acked: number;
  /** Records that are not there, or with other content, or whose id could be given again. */
  lost: number;
  unstartable: boolean;
  /** One line for each, for people. */
  problems: string[];
}

export function inspect(folder: string, expected: Expected): Inspection {
  let buffer: BufferDatabase;
  try {
    buffer = new BufferDatabase(join(folder, 'buffer.db'), SUFFIX, CLOCK);
  } catch (error) {
    return { acked: 0, lost: 0, unstartable: true, problems: [`it does not start: ${errorText(error)}`] };
  }
  try {
    return compare(buffer, expected);
  } finally {
    buffer.close();
  }
}

function compare(buffer: BufferDatabase, expected: Expected): Inspection {
  const opened = buffer.opened();
  const problems: string[] = [];
  let acked = 0;
  let lost = 0;
  const lose = (problem: string): void => {
    lost += 1;
    problems.push(problem);
  };
  if (opened.damage && !expected.damaged)
    problems.push(`it was set aside as damaged: ${opened.damage.detail}`);
  const again = [...expected.epochs].find((epoch) => counterOf(epoch) >= counterOf(opened.epoch));
  if (again !== undefined) lose(`epoch ${opened.epoch} comes after ${again}`);
  const rows = allRows(buffer, opened);
  for (const [id, row] of rows) {
    const number = numberOf(row.payload);
    if (!isRecord(row, number)) lose(`${id} has content that nobody sent`);
    else if ((expected.numbers.get(id) ?? number) !== number) lose(`${id} has the content of another record`);
  }
  for (const [key, records] of expected.owed) {
    acked += records.size;
    for (const [seq, { number }] of records) {
      if (!rows.has(`${key}/${seq}`)) lose(`${key}/${seq} (record ${number}) is not there`);
    }
  }
  return { acked, lost, unstartable: false, problems };
}

/** By `epoch/stream/seq`, what the forwarder would be given: rows that are pending. */
function allRows(buffer: BufferDatabase, { streams }: Pick<Opened, 'streams'>): Map<string, StoredRecord> {
  const rows = new Map<string, StoredRecord>();
  for (const { epoch, stream, pending } of streams) {
    for (const { first, last } of IntervalSet.decode(pending).ranges()) {
      const read = buffer.read({ epoch, stream, first, last, maxBytes: Number.MAX_SAFE_INTEGER });
      for (const row of decodeRecords(read)) rows.set(`${epoch}/${stream}/${row.seq}`, row);
    }
  }
  return rows;
}

function isRecord(row: StoredRecord, number: number): boolean {
  if (!Number.isSafeInteger(number)) return false;
  const { device, topic, payload, monoMs } = recordOf(number);
  if (row.device !== device || row.topic !== topic || row.monoMs !== monoMs) return false;
  return Buffer.compare(row.payload, payload) === 0;
}

function counterOf(epoch: string): number {
  return Number.parseInt(epoch, 10);
}
