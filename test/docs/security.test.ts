/** The table "Who gets what" of SECURITY.md is made of attacks that there are. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ATTACKERS } from '../attack/attack.ts';
import { GROUPS } from '../attack/groups.ts';
import { ROOT } from '../cli/run.ts';

const page = readFileSync(join(ROOT, 'SECURITY.md'), 'utf8');
const section = page.slice(page.indexOf('## Who gets what'), page.indexOf('## Keys, and how'));
const rows = section.split('\n').filter((line) => line.startsWith('| **'));
const attacks = GROUPS.flatMap((group) => group.attacks);
const NAME = /`([a-z]+\/[a-z0-9*-]+)`/g;

/** Attacks that a name of the page stands for; `*` is any part of it. */
function meant(name: string): typeof attacks {
  const pattern = new RegExp(`^${name.replaceAll('*', '[a-z0-9-]+')}$`);
  return attacks.filter((attack) => pattern.test(attack.name));
}

t.test('a row for each attacker, and attacks in each cell', async (t) => {
  t.equal(rows.length, ATTACKERS.length);
  for (const row of rows) {
    const [attacker = '', ...cells] = row.split('|').slice(1, -1);
    t.equal(cells.length, 4, attacker);
    for (const cell of cells) t.match(cell, /`[a-z]+\/|[Gg]ets |It owns|rules let/, `${attacker}: ${cell}`);
  }
});

t.test('each attack that the page names is there, and holds or is named as open', async (t) => {
  const open = attacks.filter(({ isOpen }) => isOpen === true).map(({ name }) => name);
  const list = section.split('\n').filter((line) => line.startsWith('- `'));
  t.strictSame(list.map((line) => line.match(NAME)?.[0].replaceAll('`', '')).toSorted(), open.toSorted());
  // `test/…` and `docs/…` are paths, which the tests of links follow.
  for (const [, name = ''] of page.matchAll(NAME))
    if (!existsSync(join(ROOT, name.replace(/\/.*/, ''))))
      t.ok(meant(name).length > 0, `${name} is an attack`);
  for (const row of rows) {
    for (const [, name = ''] of row.matchAll(NAME))
      t.notOk(
        meant(name).every(({ isOpen }) => isOpen === true),
        `${name} holds`,
      );
  }
});

t.test('names are given once, and each attack has an attacker', async (t) => {
  t.equal(new Set(attacks.map(({ name }) => name)).size, attacks.length);
  for (const { name, by } of attacks) t.ok(by.length > 0, name);
});
