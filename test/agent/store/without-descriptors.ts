/**
 * Opens a store in argv[2], uses up the file descriptors of this process, lets the store look after its file
 * three times and appends a record. Prints the store's states and the record's seq as one JSON line.
 */
import { openSync } from 'node:fs';
import { ForwardClock } from '../../forward-clock.ts';
import { until } from '../../until.ts';
import { record, storeOn } from './fixture.ts';

/** The work of every second comes every 20 ms. */
class CountingClock extends ForwardClock {
  looks = 0;

  override every(periodMs: number, run: () => void) {
    return super.every(periodMs, () => {
      this.looks += 1;
      run();
    });
  }
}

const [file = ''] = process.argv.slice(2);
const clock = new CountingClock({ periodMsMax: 20 });
const { store, lines } = storeOn(file, { clock });
await store.start();
let code: unknown = null;
while (code === null) {
  try {
    openSync('/dev/null', 'r');
  } catch (error) {
    code = error instanceof Error ? Reflect.get(error, 'code') : error;
  }
}
const { looks } = clock;
await until('the store looks after its file', () => clock.looks >= looks + 3);
const { seq } = await store.append(record('taken'));
const states = lines.filter(({ event }) => event === 'store.state').map(({ state }) => state);
console.log(JSON.stringify({ code, states, seq }));
process.exit(0);
