/**
 * The wear of an SD card: bytes written per byte of payload, by the kernel's count (/proc/PID/io,
 * write_bytes), at 200 readings of 100 bytes per second without an available provider, for two durability
 * classes and for one commit per row.
 */
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { freePort, load, pause, Workshop } from './load/programs.ts';
import { type Bench, type Measured, rounded } from './measure.ts';

const SECONDS = 60;
const SHAPE = { clients: 20, window: 20, payloadBytes: 100, messages: 200 * SECONDS, rate: 200 };

export const bench: Bench = {
  name: 'wear',
  summary: `bytes written per payload byte at 200 messages/s of 100-byte JSON, ${SECONDS} s each, three at once`,
  async run(): Promise<Measured> {
    const shop = new Workshop();
    try {
      const program = shop.compile('mqtt-load.c');
      const ports = [await freePort(), await freePort(), await freePort()] as const;
      const each = new URL('./load/commit-each.ts', import.meta.url).pathname;
      const stream = (durability: unknown) => ({ streams: { telemetry: { topics: ['#'], durability } } });
      const brokers = [
        await shop.agent('fsync', stream('fsync'), ports[0]),
        await shop.agent('interval', stream({ interval: '1s' }), ports[1]),
        await shop.node([each, String(ports[2]), `${shop.folder}/each.db`], ports[2]),
      ];
      const before = brokers.map(writtenBytes);
      await Promise.all(ports.map((port) => load(program, port, SHAPE)));
      await pause(3000);
      const payload = SHAPE.messages * SHAPE.payloadBytes;
      const [fsync = 0, interval = 0, naive = 0] = brokers.map((broker, i) =>
        rounded((writtenBytes(broker) - (before[i] ?? 0)) / payload),
      );
      return {
        rows: [
          { program: 'durability: fsync', 'written/payload': fsync },
          { program: 'durability: {interval: 1s}', 'written/payload': interval },
          { program: 'one commit per row', 'written/payload': naive },
        ],
        figures: { fsync_ratio: fsync, interval_ratio: interval, naive_ratio: naive },
      };
    } finally {
      await shop.close();
    }
  },
};

/** From proc_pid_io(5). A file system in memory counts nothing: the temporary folder must be on a disk. */
function writtenBytes({ pid }: ChildProcess): number {
  const found = /^write_bytes: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'));
  return Number(found?.[1]);
}
