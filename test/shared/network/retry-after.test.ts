import t from 'tap';
import { retryAfterMs } from '../../../shared/network/retry-after.ts';

// A date without its zone is of GMT, wherever the gateway is.
process.env['TZ'] = 'Asia/Tokyo';

const DATE = 'Sun, 06 Nov 1994 08:49:37 GMT';
const WALL_MS = Date.UTC(1994, 10, 6, 8, 49, 30);

t.test('seconds, and each form of a date, from the date of the answer', (t) => {
  t.equal(retryAfterMs('7', {}), 7000);
  t.equal(retryAfterMs(' 0 ', {}), 0);
  for (const later of [
    'Sun, 06 Nov 1994 08:50:07 GMT',
    'Sunday, 06-Nov-94 08:50:07 GMT',
    'Sun Nov  6 08:50:07 1994',
  ]) {
    t.equal(retryAfterMs(later, { date: DATE, wallMs: 0 }), 30_000, later);
    t.equal(retryAfterMs(later, { wallMs: WALL_MS }), 37_000, 'an answer without a date');
  }
  t.equal(retryAfterMs(DATE, { date: 'Sun, 06 Nov 1994 09:00:00 GMT' }), 0, 'in the past');
  t.end();
});

t.test('bounded, and null for anything else', (t) => {
  t.equal(retryAfterMs('99999999999', {}), 86_400_000);
  t.equal(retryAfterMs('Tue, 06 Nov 2094 08:49:37 GMT', { date: DATE }), 86_400_000);
  t.equal(retryAfterMs(DATE, {}), null, 'no clock to count from');
  for (const value of [undefined, null, '', '-1', '1.5', 'soon', '7 s', '1994-11-06T08:49:37Z']) {
    t.equal(retryAfterMs(value, { date: DATE, wallMs: WALL_MS }), null, String(value));
  }
  t.end();
});
