/**
 * `npm run schema`: writes docs/schema/*.schema.json and the option tables in docs/reference/. A new option
 * gets the next version in docs/schema/since.json. A test compares all of them with the schemas.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { emptyCells, type Since, withNewOptions, withOptionTables } from './reference.ts';
import { schemaText } from './schemas.ts';

const docs = new URL('../docs/', import.meta.url);
const PAGES = { agent: 'agent-yaml', router: 'router-yaml', policy: 'policy' } as const;

const sinceFile = new URL('schema/since.json', docs);
const known: Since = JSON.parse(readFileSync(sinceFile, 'utf8'));
const since = withNewOptions(known);
writeFileSync(sinceFile, `${JSON.stringify(since, null, 2)}\n`);
for (const kind of ['agent', 'router', 'policy'] as const) {
  writeFileSync(new URL(`schema/${kind}.schema.json`, docs), schemaText(kind));
  const page = new URL(`reference/${PAGES[kind]}.md`, docs);
  writeFileSync(page, withOptionTables(readFileSync(page, 'utf8'), kind, since));
  for (const cell of emptyCells(kind, since)) {
    process.stderr.write(`${kind}: ${cell} is empty; units are listed in cli/reference.ts\n`);
    process.exitCode = 1;
  }
}
