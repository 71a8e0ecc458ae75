/** Images are built on a base of which the bytes are known. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ROOT } from '../cli/run.ts';

/** An image's name with its tag, for people, and its digest, which counts (OCI image spec, descriptor). */
const PINNED = /^[a-z0-9./-]+:[\w.-]+@sha256:[0-9a-f]{64}$/;

/** Images that a Dockerfile takes from elsewhere: not its own stages, and arguments filled in. */
function basesOf(dockerfile: string): string[] {
  const values = new Map<string, string>();
  const stages = new Set<string>();
  const bases: string[] = [];
  const filled = (text: string): string =>
    text.replace(/\$\{?(\w+)\}?/g, (whole, name) => values.get(name) ?? whole);
  for (const line of dockerfile.split('\n')) {
    const [, name, value] = /^ARG (\w+)=(\S+)$/i.exec(line) ?? [];
    if (name !== undefined && value !== undefined) values.set(name, filled(value));
    const [, image, stage] = /^FROM (?:--\S+ )*(\S+)(?: AS (\S+))?$/i.exec(line) ?? [];
    if (image !== undefined && !stages.has(image)) bases.push(filled(image));
    if (stage !== undefined) stages.add(stage);
    const [, from] = /^COPY (?:--\S+ )*--from=(\S+)/i.exec(line) ?? [];
    if (from !== undefined && !stages.has(from)) bases.push(filled(from));
  }
  return bases;
}

t.test('every base of every image is pinned by its digest', async (t) => {
  const dockerfiles = readdirSync(ROOT).filter((name) => name.startsWith('Dockerfile'));
  t.ok(dockerfiles.length > 0);
  for (const name of dockerfiles) {
    const bases = basesOf(readFileSync(join(ROOT, name), 'utf8'));
    t.ok(bases.length > 0, `${name} has a base`);
    for (const base of bases) t.match(base, PINNED, `${name}: ${base}`);
  }
});

t.test('a base without a digest is found, also behind an argument and in a copy', async (t) => {
  const digest = `sha256:${'0a'.repeat(32)}`;
  t.strictSame(
    basesOf(`ARG BASE=node:24\nFROM --platform=linux/arm64 \${BASE} AS build\nCOPY --from=busybox:1 /a /b`),
    ['node:24', 'busybox:1'],
  );
  t.strictSame(basesOf(`FROM node:24@${digest} AS build\nFROM build\nCOPY --from=build /a /b`), [
    `node:24@${digest}`,
  ]);
  t.notMatch('node:24', PINNED);
});
