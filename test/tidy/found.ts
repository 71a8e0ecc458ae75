/** For the tests of the tidy rules. */
import { type Finding, treeOf } from './tree.ts';

/** The findings of a rule in files given by path, as `file:line`. */
export function found(
  rule: (tree: ReturnType<typeof treeOf>) => Finding[],
  files: Record<string, string>,
): string[] {
  return rule(treeOf(new Map(Object.entries(files)))).map(({ file, line }) => `${file}:${line}`);
}
