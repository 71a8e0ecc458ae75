/** The checker: compares the devices' own logs with the ledger, record by record and byte for byte. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Ledger } from '../router/ledger/ledger.ts';
import type { AckedPublish } from './device.ts';

const READ_LIMIT = 5000;

export interface Comparison {
  /** Publishes whose PUBACK a device received. */
  acked: number;
  /** Acked publishes in the ledger with the same device, topic and bytes. */
  delivered: number;
  missing: number;
  /** Further copies in the ledger of publishes sent once. */
  duplicatedInLedger: number;
  /** Further copies of publishes that the device itself sent again after a broken connection. */
  deviceRetries: number;
  /** Records of the residency stream that came through a provider outside its zone. */
  residencyViolations: number;
}

interface Expected {
  resent: boolean;
  found: number;
}

export async function compare(
  deviceLogs: string,
  ledger: Pick<Ledger, 'read'>,
  residency: { stream: string; outside: readonly string[] },
): Promise<Comparison> {
  const expected = await readDeviceLogs(deviceLogs);
  let residencyViolations = 0;
  for (let after = 0; ; ) {
    const records = await ledger.read(after, READ_LIMIT);
    for (const record of records) {
      const entry = expected.get(
        key(record.device, record.topic, Buffer.from(record.payload).toString('utf8')),
      );
      if (entry) entry.found += 1;
      if (record.stream === residency.stream && residency.outside.includes(record.source))
        residencyViolations += 1;
      after = record.offset;
    }
    if (records.length === 0) break;
  }
  const result: Comparison = {
    acked: expected.size,
    delivered: 0,
    missing: 0,
    duplicatedInLedger: 0,
    deviceRetries: 0,
    residencyViolations,
  };
  for (const { resent, found } of expected.values()) {
    if (found === 0) result.missing += 1;
    else result.delivered += 1;
    const extra = Math.max(0, found - 1);
    if (resent) result.deviceRetries += extra;
    else result.duplicatedInLedger += extra;
  }
  return result;
}

async function readDeviceLogs(dir: string): Promise<Map<string, Expected>> {
  const expected = new Map<string, Expected>();
  for (const file of await readdir(dir)) {
    const device = file.replace(/\.ndjson$/, '');
    for (const line of (await readFile(join(dir, file), 'utf8')).split('\n')) {
      if (line === '') continue;
      const { topic, payload, resent } = JSON.parse(line) as AckedPublish;
      expected.set(key(device, topic, payload), { resent, found: 0 });
    }
  }
  return expected;
}

function key(device: string, topic: string, payload: string): string {
  return `${device}\n${topic}\n${payload}`;
}
