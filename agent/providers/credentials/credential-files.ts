/** Detects renewed credential files. */
import { stat } from 'node:fs/promises';

/** A text that changes when one of the files is replaced, written, created or deleted. */
export async function fingerprint(files: readonly string[]): Promise<string> {
  const parts = files.map(async (file) => {
    try {
      const { ino, size, mtimeMs } = await stat(file);
      return `${ino}:${size}:${mtimeMs}`;
    } catch {
      return 'none'; // Opening the file reports the error.
    }
  });
  return (await Promise.all(parts)).join(' ');
}
