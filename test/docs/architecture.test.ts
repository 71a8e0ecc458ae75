/** docs/ARCHITECTURE.md has a row for every room, and no row is an essay. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const root = fileURLToPath(new URL('../..', import.meta.url));
const page = readFileSync(`${root}docs/ARCHITECTURE.md`, 'utf8');
const rooms = page.slice(page.indexOf('## The rooms'), page.indexOf('## The way of one record'));
const rows = rooms.split('\n').filter((line) => line.startsWith('| `'));

const LINES_MAX = 3;
const COLUMNS = 110;

t.test('each folder of agent and router has a row', async (t) => {
  for (const side of ['agent', 'router']) {
    for (const entry of readdirSync(root + side, { withFileTypes: true })) {
      if (entry.isDirectory()) t.match(rooms, `| \`${side}/${entry.name}\` |`);
    }
  }
});

t.test('a row has three lines at most', async (t) => {
  t.ok(rows.length > 20);
  t.strictSame(
    rows.filter((row) => row.length > LINES_MAX * COLUMNS),
    [],
  );
});

t.test('the table of dependencies names each package once, and each of package.json', async (t) => {
  const { dependencies } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'));
  const table = page.slice(page.indexOf('## Dependencies'));
  for (const name of Object.keys(dependencies)) {
    const named = table.split(`\`${name}\``).length - 1;
    t.equal(named, 1, name);
  }
});
