/**
 * Keeps a stream of evidence (versions in conflict, dead letters) within its bounds by account
 * (rules/shares.ts). Each replica checks with its first message, and then after a number of them, so the
 * stream may exceed its bounds by that number per replica. The server's own bound is higher
 * ({@link EvidenceStream}): it would drop the oldest messages, whatever their account.
 *
 * A message has its account in a header, so that a check reads no content. Messages of earlier versions have
 * none, and are one account.
 */
import { errorText } from '../../../shared/error-text.ts';
import type { SparseLog } from '../../../shared/sparse-log.ts';
import {
  type Account,
  type AccountCap,
  type AccountHeld,
  capsOf,
  type Dropped,
  NO_SHARES,
  type OnDropped,
} from '../rules/shares.ts';
import type { Connection, MessageHead } from './connection.ts';
import type { EvidenceLimits } from './evidence.ts';

/**
 * Bytes of a stored message besides its content, subject and account: record head 22, checksum 8, length of
 * the headers 4 (nats-server, server/filestore.go, fileStoreMsgSizeRaw), and the fixed text of the headers.
 */
const MESSAGE_BYTES = 120;

const CHECK_EVERY_MESSAGES = 256;
const CHECK_EVERY_BYTES = 4 * 1024 * 1024;
/** Concurrent removals. */
const REMOVE_WIDTH = 64;

interface Parts {
  connection: Connection;
  table: Dropped['table'];
  /** Name of the stream. */
  stream: string;
  /** Subject of the messages that name their parts; parts have another and come before. */
  subject: string;
  limits: EvidenceLimits;
  log: SparseLog;
  onDropped?: OnDropped | undefined;
}

export class AccountBound {
  readonly #parts: Parts;
  #messages = CHECK_EVERY_MESSAGES;
  #bytes = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /**
   * Counts a stored message, and drops the oldest messages when a check is due. Never rejects: the message is
   * stored whether or not others can be dropped.
   */
  async added(bytes: number): Promise<void> {
    this.#messages += 1;
    this.#bytes += bytes;
    if (this.#messages < CHECK_EVERY_MESSAGES && this.#bytes < CHECK_EVERY_BYTES) return;
    this.#messages = 0;
    this.#bytes = 0;
    await this.trim().catch((error: unknown) =>
      this.#parts.log.warn('ledger.prune_failed', { error: errorText(error) }),
    );
  }

  /** Drops the oldest messages beyond the bounds; the newest stays. */
  async trim(): Promise<void> {
    const { connection, stream, subject, limits } = this.#parts;
    const { messagesMax: rowsMax, bytesMax, shares = NO_SHARES } = limits;
    const accounts = new Map<string, AccountHeld>();
    let newest = 0;
    for await (const head of connection.heads(stream)) {
      const isRow = head.subject === subject;
      if (isRow) newest = head.seq;
      const { rows, bytes } = accounts.get(head.account) ?? { rows: 0, bytes: 0 };
      const held = { rows: rows + (isRow ? 1 : 0), bytes: bytes + sizeOf(head) };
      accounts.set(head.account, { ...accountFrom(head.account), ...held });
    }
    const caps = capsOf([...accounts.values()], shares, { rowsMax, bytesMax });
    if (caps.length === 0) return;
    await this.#shrink(caps, accounts, newest);
  }

  async #shrink(
    caps: readonly AccountCap[],
    accounts: Map<string, AccountHeld>,
    newest: number,
  ): Promise<void> {
    const { connection, stream, subject, table, log, onDropped } = this.#parts;
    const capOf = new Map(caps.map((cap) => [accountName(cap), cap]));
    const rowsOf = new Map<string, number>();
    const going: number[] = [];
    for await (const head of connection.heads(stream)) {
      const cap = capOf.get(head.account);
      const held = accounts.get(head.account);
      if (head.seq >= newest || !cap || !held) continue;
      if (held.rows <= cap.rowsMax && held.bytes <= cap.bytesMax) continue;
      const isRow = head.subject === subject;
      const left = { rows: held.rows - (isRow ? 1 : 0), bytes: held.bytes - sizeOf(head) };
      accounts.set(head.account, { ...held, ...left });
      going.push(head.seq);
      if (isRow) rowsOf.set(head.account, (rowsOf.get(head.account) ?? 0) + 1);
    }
    while (going.length > 0) {
      await Promise.all(going.splice(0, REMOVE_WIDTH).map((seq) => connection.remove(stream, seq)));
    }
    for (const [name, rows] of rowsOf) {
      const dropped = { table, rows, ...accountFrom(name) };
      log.warn('ledger.evidence_dropped', dropped);
      onDropped?.(dropped);
    }
  }
}

/** The header of an account. */
export function accountName({ source, gateway }: Account): string {
  if (source === '') return '';
  return `${encodeURIComponent(source)}/${encodeURIComponent(gateway)}`;
}

function accountFrom(name: string): Account {
  const [source = '', gateway = ''] = name.split('/').map(decodeURIComponent);
  return { source, gateway };
}

function sizeOf({ subject, bytes, account }: MessageHead): number {
  return MESSAGE_BYTES + subject.length + account.length + bytes;
}
