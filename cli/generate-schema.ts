/**
 * `npm run schema`: writes docs/schema/*.schema.json and the field tables of docs/reference/configuration.md.
 * A test holds them to the schemas.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { schemaText, withFieldTables } from './schemas.ts';

const docs = new URL('../docs/', import.meta.url);
for (const kind of ['agent', 'router', 'policy'] as const) {
  writeFileSync(new URL(`schema/${kind}.schema.json`, docs), schemaText(kind));
}
const page = new URL('reference/configuration.md', docs);
writeFileSync(page, withFieldTables(readFileSync(page, 'utf8')));
