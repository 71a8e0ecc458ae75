/** A test's own folder. */
import type { Test } from 'tap';

/**
 * Like `t.testdir(content)`, but the folder is removed after everything that the test registers with
 * `t.teardown`, which may still have files open in it. tap runs the two in the order in which a test first
 * asked for either. Asked again, tap makes the folder anew: nothing may have a file open in it.
 */
export function testDir(t: Test, content?: Parameters<Test['testdir']>[0]): string {
  t.teardown(() => undefined);
  return t.testdir(content);
}
