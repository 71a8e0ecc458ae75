/** The bill of materials: of the lock file, and the same bytes each time. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import t from 'tap';
import { licences } from '../../build/licences.ts';
import { ROOT } from '../runner/run-file.ts';

const FILE = `${ROOT}dist/sbom.cdx.json`;

t.test('it has each package of the lock file, with hash and licence, and is reproducible', (t) => {
  const made = (): string => {
    execFileSync(process.execPath, ['build/sbom.ts'], { cwd: ROOT });
    return readFileSync(FILE, 'utf8');
  };
  const first = made();
  t.equal(made(), first);
  const bom: {
    bomFormat: string;
    components: Array<{ name: string; hashes?: unknown[]; licenses?: unknown[] }>;
  } = JSON.parse(first);
  t.equal(bom.bomFormat, 'CycloneDX');
  const named = new Set(bom.components.map(({ name }) => name));
  t.same(
    licences().filter(({ name }) => !named.has(name)),
    [],
  );
  for (const { name, hashes, licenses } of bom.components) {
    if ((hashes ?? []).length === 0) t.fail(`${name} has no hash`);
    if ((licenses ?? []).length === 0 && name !== 'machina') t.fail(`${name} has no licence`);
  }
  t.end();
});
