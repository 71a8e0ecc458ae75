/** SPEC.md and its proofs, held to each other: each clause names its files, and exactly those cite it. */
import { readdirSync, readFileSync } from 'node:fs';
import t from 'tap';
import { allCases } from '../../../routing/case.ts';

const SPEC = new URL('../../../../agent/routing/SPEC.md', import.meta.url);

/** Clause → the files it names. */
function clauses(): Map<number, string[]> {
  const text = readFileSync(SPEC, 'utf8').split('## Clauses')[1]?.split('## Constants')[0] ?? '';
  return new Map(
    [...text.matchAll(/^(\d+)\. ([\s\S]*?)(?=^\d+\. |$(?![\s\S]))/gm)].map(([, number, body = '']) => {
      const named = body.match(/\*([a-z, ]+)\*\s*$/)?.[1] ?? '';
      return [Number(number), named.split(', ').sort()];
    }),
  );
}

/** Clause → the files that cite it. */
function citations(): Map<number, string[]> {
  const cited = new Map<number, Set<string>>();
  const cite = (clause: number, file: string): void => {
    cited.set(clause, (cited.get(clause) ?? new Set()).add(file));
  };
  for (const file of readdirSync(new URL('.', import.meta.url)).filter((name) => name.endsWith('.test.ts'))) {
    const text = readFileSync(new URL(file, import.meta.url), 'utf8');
    for (const [, numbers = ''] of text.matchAll(/\(SPEC (\d+(?:, \d+)*)\)/g)) {
      for (const number of numbers.split(', ')) cite(Number(number), file.replace('.test.ts', ''));
    }
  }
  for (const { cases } of allCases()) {
    for (const wanted of cases) for (const clause of wanted.clauses) cite(clause, 'cases');
  }
  return new Map([...cited].map(([clause, files]) => [clause, [...files].sort()]));
}

t.test('each clause of SPEC.md is cited by the files it names, and by no others', (t) => {
  const written = clauses();
  const cited = citations();
  t.same(
    [...written.keys()],
    [...written.keys()].map((_, i) => i + 1),
    'numbered from 1',
  );
  t.ok(written.size >= 16, `${written.size} clauses`);
  for (const [clause, files] of written) t.same(cited.get(clause) ?? [], files, `clause ${clause}`);
  for (const clause of cited.keys()) t.ok(written.has(clause), `cited clause ${clause} is in SPEC.md`);
  t.end();
});
