/**
 * Child of the kill test: commits numbered groups as fast as it can and prints each number once its commit is
 * acknowledged. Arguments: engine module, place, first number.
 */
import { writeSync } from 'node:fs';
import { loadEngine } from './engine.ts';
import { killGroup } from './kill.ts';

const [engineFile = '', place = '', first = ''] = process.argv.slice(2);
const engine = await loadEngine(engineFile);
const ledger = await engine.open(place);
for (let number = Number(first); ; number += 1) {
  await ledger.commit(killGroup(number));
  writeSync(1, `${number}\n`);
}
