/** `headgate deadletter ls` and `headgate deadletter show`. */
import type { DeadLetterHead, StoredDeadLetter } from '../../router/ledger/maintenance.ts';
import { isoTime } from '../../shared/clock.ts';
import { openFrame, versionOf } from '../../shared/envelope/frame.ts';
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
    ...frameLines(letter.bytes),
    ...Object.entries(properties).map(([name, value]) => `property       ${name}: ${value}`),
    `bytes          ${Buffer.from(letter.bytes).toString('hex', 0, BYTES_SHOWN)}${rest}`,
  ]
    .map(line)
    .join('\n');
}

/** The clear text of an envelope's frame, as it says of itself: nothing of it is verified here. */
export interface FrameClaims {
  version: number;
  /** Null for version 1, which has its ids in the content alone. */
  ids: FrameIds | null;
  contentBytes: number;
}

interface FrameIds {
  gateway: string;
  epoch: string;
  stream: string;
  range: { first: number; last: number } | null;
  signedBy: string;
  /** Ids of the routers' keys that open the content; null for a content in clear. */
  sealedTo: string[] | null;
}

/** Null for bytes that are no frame. */
export function frameClaims(bytes: Uint8Array): FrameClaims | null {
  try {
    const { content, outer } = openFrame(bytes);
    const version = versionOf(bytes);
    if (outer === null) return { version, ids: null, contentBytes: content.length };
    const { gateway, epoch, stream, range, keyId: signedBy, recipients } = outer;
    const sealedTo = recipients?.map(({ keyId }) => keyId) ?? null;
    return {
      version,
      ids: { gateway, epoch, stream, range, signedBy, sealedTo },
      contentBytes: content.length,
    };
  } catch {
    // The letter's reason says why it is none.
    return null;
  }
}

function frameLines(bytes: Uint8Array): string[] {
  const claims = frameClaims(bytes);
  if (claims === null) return [];
  const { version, ids, contentBytes } = claims;
  if (ids === null) return [`envelope       version ${version}, not signed`];
  const { gateway, epoch, stream, range, signedBy, sealedTo } = ids;
  const seqs = range === null ? 'no records' : `seq ${range.first} to ${range.last}`;
  const sealed = `${sealedTo?.join(', ')}; ${contentBytes} bytes of ciphertext, which only these keys open`;
  return [
    `envelope       version ${version}: ${gateway}, epoch ${epoch}, stream ${stream}, ${seqs}`,
    `signed by      ${signedBy}, by its own words`,
    ...(sealedTo === null ? [] : [`sealed to      ${sealed}`]),
  ];
}
