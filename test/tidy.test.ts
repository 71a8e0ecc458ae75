/** Style is a test: the rules are in test/tidy/, each proved on bad snippets by test/tidy/rules.test.ts. */
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { codeBans, sizes, textBans } from './tidy/bans.ts';
import { boundaries } from './tidy/boundaries.ts';
import { unreachableFiles, unusedExports, unusedMembers } from './tidy/dead-code.ts';
import { invariants } from './tidy/invariants.ts';
import { packages } from './tidy/packages.ts';
import { type Finding, format, readTree } from './tidy/tree.ts';

const root = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');
const tree = readTree(root);

const RULES: Readonly<Record<string, () => Finding[]>> = {
  'folders import only what they may': () => boundaries(tree),
  'nothing banned is in the code': () => codeBans(tree),
  'nothing banned is in any file': () => textBans(tree, root),
  'no file outgrows one screenful of thought': () => sizes(tree),
  'each export is imported': () => unusedExports(tree),
  'each class member is used': () => unusedMembers(tree),
  'each file is reached from an entry point': () => unreachableFiles(tree),
  'package.json names what is imported, no more and no less': () => packages(tree),
  'each invariant that code enforces is cited by a test': () => invariants(tree),
};

for (const [rule, findings] of Object.entries(RULES)) {
  t.test(rule, async (t) => {
    t.strictSame(findings().map(format), []);
  });
}
