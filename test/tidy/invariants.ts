/** Each invariant of the design that code says it enforces is cited by a test that proves it. */
import { type Finding, isSource, isTest, matchingLines, type Tree } from './tree.ts';

const INVARIANTS = 11;

export function invariants(tree: Tree): Finding[] {
  const tested = new Set(
    tree.modules
      .filter(({ path }) => isTest(path))
      .flatMap(({ text }) => citations(text).map(({ name }) => name)),
  );
  const reported = new Set<string>();
  return tree.modules
    .filter(({ path }) => isSource(path))
    .flatMap(({ path, text }) =>
      citations(text).flatMap(({ name, line }): Finding[] => {
        const known = Number(name.slice(1)) >= 1 && Number(name.slice(1)) <= INVARIANTS;
        if (known && (tested.has(name) || reported.has(name))) return [];
        reported.add(name);
        const message = known
          ? `${name} is enforced here and no test cites it: write the test, and name the invariant in its title`
          : `${name} is no invariant: they run from I1 to I${INVARIANTS}`;
        return [{ file: path, line, message }];
      }),
    );
}

/** `(I4)`, `(I5, I6)`: the numbers, each with its line. */
function citations(text: string): Array<{ name: string; line: number }> {
  return [...matchingLines(text, /\bI\d{1,2}\b.*/)].flatMap(({ line, match }) =>
    [...match.matchAll(/\bI\d{1,2}\b/g)].map(([name]) => ({ name, line })),
  );
}
