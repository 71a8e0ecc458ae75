/** Whether files of credentials were renewed. */
import { stat } from 'node:fs/promises';

/** Changes when one of the files is replaced, written to, or comes or goes. */
export async function fingerprint(files: readonly string[]): Promise<string> {
  const parts = files.map(async (file) => {
    try {
      const { ino, size, mtimeMs } = await stat(file);
      return `${ino}:${size}:${mtimeMs}`;
    } catch {
      return 'none'; // Opening it will say why.
    }
  });
  return (await Promise.all(parts)).join(' ');
}
