/** Why the history, or the buffer, could not be read, for an answer to an operator. */
import { errorText } from '../../shared/log.ts';
import { isOutOfDescriptors } from '../../shared/out-of-descriptors.ts';

export function readProblem(error: unknown): string {
  return isOutOfDescriptors(error) ? 'no file descriptor is free; ask again' : errorText(error);
}
