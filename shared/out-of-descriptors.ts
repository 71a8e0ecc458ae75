/**
 * Whether a file could not be opened because the process (EMFILE) or the system (ENFILE) has no free file
 * descriptor; open(2). The failure says nothing about the file: it is to be tried again.
 */
export function isOutOfDescriptors(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ('code' in cause && (cause.code === 'EMFILE' || cause.code === 'ENFILE')) return true;
  }
  return false;
}
