/** Every link, anchor and path of the documentation leads somewhere, in pages and in comments. */
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { readTree } from '../tidy/tree.ts';
import { broken } from './links.ts';

const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const { files } = readTree(root);
const pages = [...files.keys()].filter((path) => path.endsWith('.md'));

t.test('each link and each path in the pages leads somewhere', async (t) => {
  t.ok(pages.length > 30);
  t.strictSame(
    pages.flatMap((page) => broken(page, files)),
    [],
  );
});

t.test('each page that code, configuration and units name is there', async (t) => {
  const dead = [...files]
    .filter(([path]) => !path.endsWith('.md') && !path.startsWith('test/docs/'))
    .flatMap(([path, text]) =>
      [...text.matchAll(/(?<![\w/])docs\/[\w./-]+\.(?:md|json|yaml|svg)/g)]
        .map(([target]) => target)
        .filter((target) => !files.has(target) && !path.startsWith('test/tidy/'))
        .map((target) => `${path}: ${target}`),
    );
  t.strictSame(dead, []);
});

t.test('what leads nowhere is found', async (t) => {
  const sample = (text: string): string[] => broken('docs/a.md', new Map([...PRESENT, ['docs/a.md', text]]));
  const PRESENT = [
    ['docs/b.md', '# A title, with `code`\n'],
    ['agent/agent.ts', ''],
  ] as const;
  const fine =
    'see [b](b.md#a-title-with-code), [web](https://example.com), `agent/agent.ts`, `agent/`, `a/b`';
  t.strictSame(sample(fine), []);
  t.strictSame(sample('```\n[b](nowhere.md)\n```'), [], 'code is no link');
  t.strictSame(sample('one\n[b](c.md)'), ['docs/a.md:2: c.md']);
  t.strictSame(sample('[b](b.md#other)'), ['docs/a.md:1: b.md#other']);
  t.strictSame(sample('`agent/gone.ts`'), ['docs/a.md:1: agent/gone.ts']);
});
