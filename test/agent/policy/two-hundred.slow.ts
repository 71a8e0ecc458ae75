/** Two hundred policies in a row under traffic. */
import t from 'tap';
import { policiesUnderTraffic } from './gateway.ts';

t.setTimeout(600_000);
t.test('no connection ends, nothing is lost or doubled', (t) => policiesUnderTraffic(t, 200));
