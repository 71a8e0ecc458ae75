/** Makes the streams of a ledger's evidence with their bounds. */
import type { SparseLog } from '../../../shared/sparse-log.ts';
import type { OnDropped } from '../rules/shares.ts';
import { AccountBound } from './account-bound.ts';
import type { Connection } from './connection.ts';
import { type EvidenceLimits, EvidenceStream, ROOM } from './evidence.ts';
import type { Names } from './names.ts';

interface EvidenceParts {
  connection: Connection;
  names: Names;
  replicas: number;
  limits: Readonly<Record<'conflicts' | 'deadLetters', EvidenceLimits>>;
  log: SparseLog;
  onDropped: OnDropped | undefined;
  ledgerId: () => string | null;
}

export function boundedStream(
  { connection, names, replicas, ledgerId }: EvidenceParts,
  kind: 'conflicts' | 'deadLetters' | 'repeats',
  limits: EvidenceLimits,
): EvidenceStream {
  const stream = { name: names[kind], subjects: names.subjects[kind] };
  return new EvidenceStream(connection, stream, replicas, limits, ledgerId);
}

/** A stream of evidence whose bounds are kept by account. */
export function evidenceOf(parts: EvidenceParts, kind: 'conflicts' | 'deadLetters') {
  const { connection, names, log, onDropped } = parts;
  const limits = parts.limits[kind];
  const room = {
    messagesMax: limits.messagesMax + ROOM.messagesMax,
    bytesMax: limits.bytesMax + ROOM.bytesMax,
  };
  const [table, subject] =
    kind === 'conflicts'
      ? (['conflict', names.conflict] as const)
      : (['dead_letter', names.deadLetter] as const);
  const bound = new AccountBound({
    ...{ connection, table, subject, limits, log, onDropped },
    stream: names[kind],
  });
  return { stream: boundedStream(parts, kind, room), bound };
}
