import t from 'tap';
import { BootClock, readBootId } from '../../../agent/clock/boot-clock.ts';
import type { Clock } from '../../../shared/clock.ts';
import { seededEntropy } from '../../../shared/entropy.ts';
import { createLogger } from '../../../shared/log.ts';

/** A clock that the test moves by hand; only the methods that the boot clock uses work. */
function handClock() {
  let mono = 1000;
  let wall = 5000;
  let periodic: () => void = () => t.fail('nothing was scheduled');
  const clock: Clock = {
    monoMs: () => mono,
    wallMs: () => wall,
    setTimer: () => ({ cancel: () => undefined }),
    every: (_periodMs, run) => {
      periodic = run;
      return { cancel: () => (periodic = () => undefined) };
    },
    sleep: async () => undefined,
  };
  const pass = (monoMs: number, wallMs: number): void => {
    mono += monoMs;
    wall += wallMs;
    periodic();
  };
  return { clock, pass };
}

t.test(
  'maps monotonic to wall time, says how good it is, and logs a jump of the wall clock (I7)',
  async (t) => {
    const lines: Array<Record<string, unknown>> = [];
    const log = createLogger(
      { level: 'debug', levels: {} },
      { write: (line) => lines.push(JSON.parse(line)) },
    );
    const { clock, pass } = handClock();
    let synchronised = false;
    const bootClock = new BootClock({ bootId: 'b1', clock, log, isSynchronised: () => synchronised });
    const read: number[] = [];
    bootClock.onRead((now) => read.push(now.offsetMs));
    await bootClock.start();
    t.same(bootClock.current(), { bootId: 'b1', offsetMs: 4000, quality: 'unsynchronised' });

    pass(10_000, 11_500);
    t.equal(bootClock.current().offsetMs, 5500, 'a steered clock is followed');
    t.same(
      lines.filter((line) => line['event'] === 'clock.jump'),
      [],
      'and is no jump',
    );

    synchronised = true;
    pass(10_000, 1_800_000_000_000);
    t.same(bootClock.current(), { bootId: 'b1', offsetMs: 1_799_999_995_500, quality: 'synchronised' });
    t.match(
      lines.filter((line) => line['event'] === 'clock.corrected'),
      [{ movedMs: 1_799_999_990_000 }],
      'the jump to the right time is the correction',
    );
    t.same(bootClock.jumps(), { count: 0, lastMs: 0 });
    t.same(read, [4000, 5500, 1_799_999_995_500]);

    pass(10_000, 10_000 - 3_600_000);
    t.same(bootClock.jumps(), { count: 1, lastMs: -3_600_000 }, 'one of a clock that was right is counted');
    t.match(
      lines.filter((line) => line['event'] === 'clock.jump'),
      [{ jumpMs: -3_600_000 }],
    );
    pass(10_000, -1_800_000_000_000);
    t.equal(
      bootClock.current().quality,
      'unsynchronised',
      'whoever says so: this program is no older than 2025',
    );
    await bootClock.stop();
    pass(1, 1);
    t.equal(read.length, 5, 'nothing is read after stop');
  },
);

t.test('the boot id stays the same for every process of one boot', async (t) => {
  t.equal(readBootId(seededEntropy(1)), readBootId(seededEntropy(2)));
  t.match(readBootId(seededEntropy(1)), /^[0-9a-f-]{32,36}$/);
  // A file that is there and cannot be read, as without a free file descriptor.
  t.match(readBootId(seededEntropy(1), '/proc/self'), /^[0-9a-f]{32}$/);
});
