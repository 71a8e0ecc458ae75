/** The rules broken on purpose are still there to be broken: a patch that applies nowhere proves nothing. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { MUTANTS } from './mutants.ts';

t.test('each patch applies in exactly one place', (t) => {
  for (const { file, from, what } of MUTANTS) {
    const source = readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');
    t.equal(source.split(from).length - 1, 1, `${file}: ${what}`);
  }
  t.end();
});
