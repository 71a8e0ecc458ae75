/** docs/reference/mqtt.md names each statement of MQTT 3.1.1, and for each statement on servers a test. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { readTree } from '../tidy/tree.ts';

const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const page = readFileSync(`${root}/docs/reference/mqtt.md`, 'utf8');
const tests = new Map(
  [...readTree(root).files].filter(([path]) => /^test\/agent\/broker\/.*\.test\.ts$/.test(path)),
);

/** Appendix B: how many statements each section has. */
const STATEMENTS: Readonly<Record<string, number>> = {
  '1.5.3': 3,
  '2.2.2': 2,
  '2.3.1': 7,
  '3.1.0': 2,
  '3.1.2': 24,
  '3.1.3': 11,
  '3.1.4': 5,
  '3.2.0': 1,
  '3.2.2': 6,
  '3.3.1': 12,
  '3.3.2': 3,
  '3.3.4': 1,
  '3.3.5': 2,
  '3.6.1': 1,
  '3.8.1': 1,
  '3.8.3': 4,
  '3.8.4': 6,
  '3.9.3': 2,
  '3.10.1': 1,
  '3.10.3': 2,
  '3.10.4': 6,
  '3.12.4': 1,
  '3.14.1': 1,
  '3.14.4': 3,
  '4.1.0': 2,
  '4.3.1': 1,
  '4.3.2': 2,
  '4.3.3': 2,
  '4.4.0': 1,
  '4.5.0': 2,
  '4.6.0': 6,
  '4.7.1': 3,
  '4.7.2': 1,
  '4.7.3': 4,
  '4.8.0': 2,
  '6.0.0': 4,
  '7.0.0': 2,
  '7.1.1': 1,
  '7.1.2': 1,
};
const all = Object.entries(STATEMENTS).flatMap(([section, count]) =>
  Array.from({ length: count }, (_, i) => `MQTT-${section}-${i + 1}`),
);

/** `| MQTT-3.2.2-2 | the broker … | `file` | test |` */
const ROW = /^\| (MQTT-[\d.]+-\d+) \| [^|]+ \| `([\w/-]+)` \| (.+) \|$/gm;
const rows = [...page.matchAll(ROW)].map(([, statement = '', file = '', name = '']) => ({
  statement,
  file,
  name: name.replaceAll('\\|', '|'),
}));

/** Whether a line of the test has the name and the statement. */
function isShown({ statement, file, name }: (typeof rows)[number]): boolean {
  const lines = tests.get(`test/agent/broker/${file}.test.ts`)?.split('\n') ?? [];
  return lines.some((line) => {
    const plain = line.replaceAll(/ ?\[MQTT-[^\]]+\]/g, '');
    return line.includes(`[${statement}]`) && plain.includes(name);
  });
}

t.test('each statement is on the page, those of servers once with a test', async (t) => {
  const [, others = ''] = page.split('## Shown by no packet');
  const without = [...others.matchAll(/MQTT-[\d.]+-\d+/g)].map(([statement]) => statement);
  t.strictSame([...rows.map(({ statement }) => statement), ...without].toSorted(), all.toSorted());
  t.ok(without.length <= 12, 'few are without a test');
});

t.test('each test that the page names is there, and names the statement', async (t) => {
  t.ok(rows.length > 120, 'the table is read');
  t.strictSame(
    rows.filter((row) => !isShown(row)),
    [],
  );
});

t.test('tests name statements that there are', async (t) => {
  const named = [...tests].flatMap(([path, text]) =>
    [...text.matchAll(/\[(MQTT-[^\]]+)\]/g)].map(([, statement = '']) => ({ path, statement })),
  );
  t.strictSame(
    named.filter(({ statement }) => !all.includes(statement)),
    [],
  );
});
