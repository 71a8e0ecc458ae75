/** `headgate deadletter ls` and `headgate deadletter show`. */
import type { DeadLetterHead, StoredDeadLetter } from '../../router/ledger/maintenance.ts';
import { isoTime } from '../../shared/clock.ts';
import { bytesText, line, table } from '../format.ts';

/** The first bytes of a message for `show`; `--out` writes all of it. */
const BYTES_SHOWN = 256;
/** `show` has all of it. */
const DETAIL_SHOWN = 60;

export function renderDeadLetters(heads: readonly DeadLetterHead[]): string {
  const rows = heads.map(({ id, receivedWallMs, source, reason, sizeBytes, detail }) => [
    String(id),
    isoTime(receivedWallMs),
    source,
    reason,
    bytesText(sizeBytes),
    detail.length > DETAIL_SHOWN ? `${detail.slice(0, DETAIL_SHOWN)}…` : detail,
  ]);
  return table(['ID', 'RECEIVED', 'SOURCE', 'REASON', 'SIZE', 'DETAIL'], rows);
}

export function renderDeadLetter(letter: StoredDeadLetter): string {
  const { id, receivedWallMs, source, reason, detail, authenticatedGateway, properties, sizeBytes } = letter;
  const rest = sizeBytes > BYTES_SHOWN ? ` … (--out writes all ${sizeBytes})` : '';
  return [
    `dead letter ${id}`,
    `received       ${isoTime(receivedWallMs)} from ${source}`,
    `reason         ${reason}: ${detail}`,
    `authenticated  ${authenticatedGateway ?? 'not reported by the provider'}`,
    `size           ${sizeBytes} bytes`,
    ...Object.entries(properties).map(([name, value]) => `property       ${name}: ${value}`),
    `bytes          ${Buffer.from(letter.bytes).toString('hex', 0, BYTES_SHOWN)}${rest}`,
  ]
    .map(line)
    .join('\n');
}
