/**
 * `node build/sbom.ts`: the bill of materials of what `npm install headgate` brings, as CycloneDX 1.5 in
 * dist/sbom.cdx.json, from the lock file alone. npm writes it; here it becomes the same bytes for the same
 * lock file, and the licences are checked. Exits 1 when a package has a licence that is not allowed.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { licences, refusedLicences } from './licences.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const FILE = `${root}dist/sbom.cdx.json`;

const npm = process.env['npm_execpath'];
// `--omit=dev` leaves out packages that development needs too (npm 11): the lock file tells them apart.
const args = ['sbom', '--package-lock-only', '--sbom-format=cyclonedx', '--sbom-type=application'];
const printed = execFileSync(
  npm === undefined ? 'npm' : process.execPath,
  npm === undefined ? args : [npm, ...args],
  {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  },
);
const bom = JSON.parse(printed);
const kept = new Set([
  bom.metadata.component['bom-ref'],
  ...licences().map(({ name, version }) => `${name}@${version}`),
]);
interface Reference {
  'bom-ref': string;
}
bom.components = bom.components.filter((part: Reference) => kept.has(part['bom-ref']));
bom.dependencies = bom.dependencies
  .filter(({ ref }: { ref: string }) => kept.has(ref))
  .map(({ ref, dependsOn }: { ref: string; dependsOn: string[] }) => ({
    ref,
    dependsOn: dependsOn.filter((other) => kept.has(other)),
  }));
// npm takes the folder's name, a random number and the time.
bom.metadata.component.name = 'headgate';
delete bom.metadata.timestamp;
bom.serialNumber = `urn:uuid:${uuidOf(JSON.stringify([bom.metadata.component.version, bom.components]))}`;

mkdirSync(`${root}dist`, { recursive: true });
writeFileSync(FILE, `${JSON.stringify(bom, null, 2)}\n`);
const refused = refusedLicences();
for (const { name, licence } of refused)
  console.error(`${name}: the licence ${licence} is not allowed (build/licences.ts)`);
console.log(`dist/sbom.cdx.json: ${bom.components.length} packages`);
if (refused.length > 0) process.exitCode = 1;

/** A UUID of version 8 (RFC 9562, section 5.8) from the SHA-256 of a text. */
function uuidOf(text: string): string {
  const bytes = createHash('sha256').update(text).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
