import t from 'tap';
import { surviveCrashes } from './run-crash.ts';

const CYCLES = 2;

t.test(`${CYCLES} SIGKILLs of the agent under load lose nothing and give no id twice (I1, I2)`, async (t) => {
  await surviveCrashes(t, CYCLES);
});
