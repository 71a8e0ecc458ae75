import t from 'tap';
import { Stream } from '../../../../agent/forward/queue/stream.ts';
import { streamSchema } from '../../../../shared/policy/policy.ts';
import type { TelemetryRecord } from '../../../../shared/record.ts';

const HEADER = {
  gateway: 'gw-1',
  epoch: '1-a',
  stream: 's',
  clock: { bootId: 'b', offsetMs: 0, quality: 'synchronised' },
  lane: 'live',
  gaps: [],
  sealedAt: null,
} as const;

/** Readings of 100 bytes that are all alike. */
function readings(count: number): TelemetryRecord[] {
  const payload = Buffer.alloc(100, 'x');
  return Array.from({ length: count }, (_, i) => ({
    seq: i + 1,
    monoMs: i,
    device: 'd',
    topic: 't',
    payload,
  }));
}

t.test('an envelope is full when it is full after compression', (t) => {
  const stream = new Stream('s', streamSchema.parse({ topics: ['#'], linger: '1s' }));
  const queue = stream.current('1-a');
  queue.committed(1, 40, 4000, 0);
  const run = { first: 1, last: 40, acceptedBy: new Set<string>() };
  t.equal(stream.due(queue, run, 1), true, 'nothing is known of how it shrinks');
  const packer = stream.packer;
  for (let i = 0; i < 10; i++) packer.pack({ ...HEADER, gaps: [] }, readings(40), 4000);
  t.equal(stream.due(queue, run, 1), false, 'it would be mostly empty');
  t.equal(stream.due(queue, run, 1000), true, 'it never waits longer than its linger');
  queue.committed(41, 400, 36_000, 2);
  t.equal(stream.due(queue, { ...run, last: 400 }, 3), true);
  t.end();
});
