/** Style is a test: the rules are in test/tidy/, each proved on bad snippets by test/tidy/rules.test.ts. */
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { codeBans, commentBeginnings, commentWidths, sizes, textBans } from './tidy/bans.ts';
import { boundaries } from './tidy/boundaries.ts';
import { circles } from './tidy/circles.ts';
import { unreachableFiles, unusedExports, unusedMembers } from './tidy/dead-code.ts';
import { invariants } from './tidy/invariants.ts';
import { lightThreads } from './tidy/light-threads.ts';
import { packages } from './tidy/packages.ts';
import { purity } from './tidy/purity.ts';
import { folderRoots } from './tidy/roots.ts';
import { type Finding, format, readTree } from './tidy/tree.ts';
import { waits } from './tidy/waits.ts';

const root = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');
const tree = readTree(root);

const RULES: Readonly<Record<string, () => Finding[]>> = {
  'folders import only what they may': () => boundaries(tree),
  'no file and no room imports itself by way of others': () => circles(tree),
  'pure code runs nothing that is not (I11)': () => purity(tree),
  'a thread loads few packages': () => lightThreads(tree),
  'the root of a folder holds what is listed': () => folderRoots(tree),
  'nothing banned is in the code': () => codeBans(tree),
  'nothing banned is in any file': () => textBans(tree, root),
  'no file outgrows one screenful of thought': () => sizes(tree),
  'no comment is wider than the code': () => commentWidths(tree),
  'each comment begins with its noun': () => commentBeginnings(tree),
  'each export is imported': () => unusedExports(tree),
  'each class member is used': () => unusedMembers(tree),
  'each file is reached from an entry point': () => unreachableFiles(tree),
  'package.json names what is imported, no more and no less': () => packages(tree),
  'each invariant that code enforces is cited by a test': () => invariants(tree),
  'no test sleeps, and none measures time': () => waits(tree),
};

for (const [rule, findings] of Object.entries(RULES)) {
  t.test(rule, async (t) => {
    t.strictSame(findings().map(format), []);
  });
}
