/** A test's own folder. */
import type { Test } from 'tap';

const made = new WeakSet<Test>();

/**
 * Like `t.testdir(content)`, but the folder is removed after everything that the test registers with
 * `t.teardown`, which may still have files open in it: tap runs the two in the order in which a test first
 * asked for either. Asked again, it is the same folder with what is in it; tap would make it anew.
 */
export function testDir(t: Test, content?: Parameters<Test['testdir']>[0]): string {
  if (made.has(t) && content === undefined) return t.testdirName;
  made.add(t);
  t.teardown(() => undefined);
  return t.testdir(content);
}
