import { open } from 'node:fs/promises';

/** fsync(2) of a folder: a new or renamed file in it then survives a power cut. Rejects as it does. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
