/** The count and its own time: billing while the day is not known. */
import t from 'tap';
import { DAY_MS, monthEndMs } from '../../../agent/cost/calendar.ts';
import { monthForecast } from '../../../agent/cost/forecast.ts';
import { NO_AMOUNT, Usage } from '../../../agent/cost/usage.ts';
import { wallMsOf } from '../../../shared/clock.ts';

const HOUR_MS = 3_600_000;
const NOON = wallMsOf('2026-11-21T12:00:00Z');

const one = { ...NO_AMOUNT, units: 1, records: 10, usd: 0.5 };

/** A usage that a synchronised clock told noon of 21 November, with one unit counted. */
function counted(): Usage {
  const usage = new Usage(null, 0);
  usage.advance({ monoMs: 0, wallMs: NOON, synchronised: true });
  usage.add('aws', 'telemetry', one);
  return usage;
}

t.test('the day ends at 00:00 UTC, the month with its last day', (t) => {
  const usage = counted();
  t.equal(usage.advance({ monoMs: 11 * HOUR_MS, wallMs: NOON + 11 * HOUR_MS, synchronised: true }), null);
  t.equal(usage.of('aws').today.units, 1);
  t.equal(usage.advance({ monoMs: 12 * HOUR_MS, wallMs: NOON + 12 * HOUR_MS, synchronised: true }), 'day');
  t.match(usage.of('aws'), { today: { units: 0, usd: 0 }, month: { units: 1, records: 10, usd: 0.5 } });
  const december = wallMsOf('2026-12-02T03:00:00Z');
  t.equal(usage.advance({ monoMs: 13 * HOUR_MS, wallMs: december, synchronised: true }), 'month');
  t.match(usage.of('aws'), { today: { units: 0 }, month: { units: 0 } });
  t.equal(usage.snapshot().sinceMs, wallMsOf('2026-12-01T00:00:00Z'));
  t.end();
});

t.test('without a synchronised clock, counts go to the last known day (I7)', (t) => {
  const kept = counted().snapshot();
  const usage = new Usage(kept, 5);
  t.equal(
    usage.advance({ monoMs: 5 + HOUR_MS, wallMs: 1000, synchronised: false }),
    null,
    'the Pi says 1970',
  );
  usage.add('aws', 'telemetry', one);
  t.equal(usage.of('aws').today.units, 2);
  t.equal(usage.snapshot().atMs, NOON + HOUR_MS);
  t.equal(
    usage.advance({ monoMs: 5 + 13 * HOUR_MS, wallMs: 2000, synchronised: false }),
    'day',
    'as much monotonic time as the day had left ends it: no quota lasts for ever',
  );
  t.match(usage.of('aws'), { today: { units: 0 }, month: { units: 2 } });
  const later = NOON + 3 * DAY_MS;
  t.equal(usage.advance({ monoMs: 5 + 14 * HOUR_MS, wallMs: later, synchronised: true }), 'day');
  t.equal(usage.snapshot().atMs, later, 'then the clock is believed');
  t.end();
});

t.test('what was counted before any day was known belongs to the first known one (I7)', (t) => {
  const usage = new Usage(null, 0);
  usage.advance({ monoMs: HOUR_MS, wallMs: 5000, synchronised: false });
  usage.add('aws', 'telemetry', one);
  t.equal(usage.snapshot().dated, false);
  t.equal(usage.advance({ monoMs: 2 * HOUR_MS, wallMs: NOON, synchronised: true }), null);
  t.match(usage.of('aws'), { today: { units: 1 }, month: { units: 1 } });
  t.match(usage.snapshot(), { dated: true, atMs: NOON, sinceMs: NOON - 2 * HOUR_MS });
  t.end();
});

t.test('a clock that is stepped back over midnight does not begin the day again', (t) => {
  const usage = new Usage(null, 0);
  const midnight = wallMsOf('2026-12-01T00:00:00Z');
  usage.advance({ monoMs: 0, wallMs: midnight, synchronised: true });
  usage.add('aws', 'telemetry', one);
  t.equal(usage.advance({ monoMs: 10, wallMs: midnight - 500, synchronised: true }), null);
  t.equal(usage.advance({ monoMs: 600, wallMs: midnight + 90, synchronised: true }), null);
  t.equal(usage.of('aws').month.units, 1);
  const wrong = wallMsOf('2036-01-01T00:00:00Z');
  usage.advance({ monoMs: 700, wallMs: wrong, synchronised: true });
  t.equal(usage.advance({ monoMs: 800, wallMs: midnight, synchronised: true }), 'month', 'set right again');
  t.equal(usage.snapshot().atMs, midnight);
  t.end();
});

t.test('entries are by provider and stream, and leave with their month (I10)', (t) => {
  const usage = counted();
  usage.add('aws', 'alarms', one);
  usage.add('constructor', 'alarms', { ...NO_AMOUNT, possibleUnits: 3, possibleUsd: 1 });
  t.equal(usage.snapshot().entries.length, 3);
  t.match(usage.of('aws').month, { units: 2, records: 20, possibleUnits: 0 });
  t.match(usage.of('constructor').month, { units: 0, usd: 0, possibleUnits: 3, possibleUsd: 1 });
  usage.advance({ monoMs: 1, wallMs: NOON + 20 * DAY_MS, synchronised: true });
  t.equal(usage.snapshot().entries.length, 0);
  t.end();
});

t.test('the forecast goes on as it went, once a day was counted', (t) => {
  const start = wallMsOf('2026-11-01T00:00:00Z');
  t.equal(monthForecast(3, start, start + DAY_MS - 1), null, 'too early');
  t.equal(monthForecast(3, start, start + 3 * DAY_MS), 30);
  t.equal(monthForecast(0, start, start + 3 * DAY_MS), 0);
  t.equal(monthForecast(5, NOON, NOON + 2.5 * DAY_MS), 5 + 2 * 7, 'from the day that the counting began');
  t.equal(monthEndMs(wallMsOf('2028-02-29T23:00:00Z')), wallMsOf('2028-03-01T00:00:00Z'));
  t.equal(monthEndMs(wallMsOf('2026-12-31T23:59:59Z')), wallMsOf('2027-01-01T00:00:00Z'));
  t.end();
});
