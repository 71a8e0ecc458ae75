import { join } from 'node:path';
import t from 'tap';
import { findFailovers, findGreyFailures } from '../../demo/incidents.ts';
import { isoTime } from '../../shared/clock.ts';
import { testDir } from '../test-dir.ts';

const START = 1_790_000_000_000;
const FAULT = { provider: 'aws', fault: 'refuse', startWallMs: START, endWallMs: START + 10_000 };

function log(...lines: Array<{ atMs: number } & Record<string, unknown>>): string {
  return lines
    .map(({ atMs, ...rest }) => `${JSON.stringify({ time: isoTime(START + atMs), ...rest })}\n`)
    .join('');
}

t.test('a failover is timed by its slowest stream, from the start of the fault', async (t) => {
  const dir = testDir(t, {
    'agent.log': `Node.js says something that is not JSON\n${log(
      { atMs: -500, event: 'routing.switch', stream: 'a', from: 'aws', to: 'gcp' },
      { atMs: 100, event: 'routing.switch', stream: 'a', from: 'aws', to: 'gcp', reason: 'breaker' },
      { atMs: 150, event: 'forward.recovered', stream: 'a', from: 'aws', to: 'gcp' },
      { atMs: 300, event: 'routing.switch', stream: 'b', from: 'aws', to: 'azure' },
      { atMs: 420, event: 'forward.recovered', stream: 'b', from: 'aws', to: 'azure' },
      { atMs: 900, event: 'forward.recovered', stream: 'b', from: 'aws', to: 'azure' },
      { atMs: 500, event: 'routing.switch', stream: 'c', from: 'gcp', to: 'azure' },
      { atMs: 11_000, event: 'routing.switch', stream: 'd', from: 'aws', to: 'azure' },
    )}`,
  });
  t.strictSame(await findFailovers(join(dir, 'agent.log'), [FAULT]), [
    { from: 'aws', to: 'gcp', fault: 'refuse', reason: 'breaker', detected_ms: 300, recovered_ms: 420 },
  ]);
});

t.test('a fault that moved nothing is no failover; one that held up nothing has no recovery', async (t) => {
  const quiet = testDir(t, { 'agent.log': log({ atMs: 100, event: 'publish.failed', provider: 'aws' }) });
  t.strictSame(await findFailovers(join(quiet, 'agent.log'), [FAULT]), []);
  const moved = testDir(t, {
    'agent.log': log({ atMs: 100, event: 'routing.switch', stream: 'a', from: 'aws', to: null }),
  });
  t.match(await findFailovers(join(moved, 'agent.log'), [FAULT]), [
    { to: null, detected_ms: 100, recovered_ms: null },
  ]);
});

t.test('a grey failure is timed by the hold that its receipts led to', async (t) => {
  const hold = { event: 'routing.hold', provider: 'aws', reason: 'receipt-lag' };
  const dir = testDir(t, {
    'agent.log': log(
      { atMs: -100, ...hold },
      { atMs: 500, ...hold, provider: 'gcp' },
      { atMs: 1200, ...hold },
      { atMs: 9000, ...hold },
    ),
  });
  const file = join(dir, 'agent.log');
  t.strictSame(await findGreyFailures(file, [FAULT]), [
    { provider: 'aws', fault: 'refuse', detected_ms: 1200 },
  ]);
  t.strictSame(await findGreyFailures(file, [{ ...FAULT, provider: 'azure' }]), []);
});
