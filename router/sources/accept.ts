/** Which envelopes a source takes: an option of every entry of `sources`. */
import { z } from 'zod';
import type { Logger } from '../../shared/log.ts';

export const accept = z
  .enum(['signed', 'any'])
  .optional()
  .describe(
    'signed: only envelopes that a key in gateways_file has signed; others become dead letters. any: also unsigned ones. Absent: any, with a warning.',
  );

export type Accept = 'signed' | 'any';

interface AcceptingSource {
  name: string;
  accept?: Accept | undefined;
}

/** By source. */
export function acceptOf(sources: readonly AcceptingSource[]): ReadonlyMap<string, Accept> {
  return new Map(sources.map(({ name, accept: policy = 'any' }) => [name, policy]));
}

/** A line for each source that takes unsigned envelopes without saying so. */
export function warnOfUnsigned(sources: readonly AcceptingSource[], log: Logger): void {
  for (const { name, accept: policy } of sources) {
    if (policy === undefined)
      log.warn({
        event: 'source.accepts_unsigned',
        source: name,
        hint: 'set accept: signed, or accept: any',
      });
  }
}
