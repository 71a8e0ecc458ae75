/**
 * Names on the server. A ledger called `headgate` is up to seven JetStream streams, `headgate-records`,
 * `-commits`, `-state`, `-cursors`, `-conflicts`, `-dead-letters` and `-repeats`, over the subjects
 * `headgate.>`.
 *
 * A subject's tokens may not be empty nor hold `.`, `*`, `>` or white space (docs.nats.io, "Subject-Based
 * Messaging"), and ids of gateways and streams may be anything: what is not a letter, digit, `-` or `_` is
 * written as its UTF-8 bytes, `=2E`.
 */
import { createHash } from 'node:crypto';
import type { StreamKey } from '../../../shared/record.ts';

/**
 * Longer tokens become a hash, so that no subject comes near the server's limit for a protocol line (4096
 * bytes).
 */
const TOKEN_CHARACTERS_MAX = 128;

export class Names {
  readonly ledger: string;
  readonly records: string;
  readonly commits: string;
  /** The stream of snapshots alone. */
  readonly state: string;
  readonly cursors: string;
  readonly conflicts: string;
  readonly deadLetters: string;
  readonly repeats: string;
  readonly #root: string;

  constructor(ledger: string) {
    this.#root = ledger;
    this.ledger = ledger;
    this.records = `${ledger}-records`;
    this.commits = `${ledger}-commits`;
    this.state = `${ledger}-state`;
    this.cursors = `${ledger}-cursors`;
    this.conflicts = `${ledger}-conflicts`;
    this.deadLetters = `${ledger}-dead-letters`;
    this.repeats = `${ledger}-repeats`;
  }

  /** The message with the ledger's id in a part; no other subject has so few tokens. */
  mark(part: 'cursors' | 'records' | 'state' | 'commits'): string {
    return `${this.#root}.${part === 'cursors' ? 'cursor' : part}.identity`;
  }

  /** The message that decides the ledger's id while replicas make it at once. */
  get firstId(): string {
    return `${this.#root}.cursor.first-id`;
  }

  /** The log of a gateway's stream: one message per envelope with records that were new. */
  recordsOf({ gateway, epoch, stream }: StreamKey): string {
    return this.#subject('records', gateway, epoch, stream);
  }

  /** Values too large for one message, in the stream of records. */
  get large(): string {
    return `${this.#root}.large`;
  }

  get commit(): string {
    return `${this.#root}.commit`;
  }

  stream({ gateway, epoch, stream }: StreamKey): string {
    return this.#subject('state.stream', gateway, epoch, stream);
  }

  /** The prefix of all streams' states, or of one gateway's. */
  streams(gateway?: string): string {
    return gateway === undefined
      ? `${this.#root}.state.stream.`
      : `${this.#subject('state.stream', gateway)}.`;
  }

  gateway(gateway: string): string {
    return this.#subject('state.gateway', gateway);
  }

  get gateways(): string {
    return `${this.#root}.state.gateway.`;
  }

  page({ gateway, epoch, stream }: StreamKey, number: number): string {
    return this.#subject('state.page', gateway, epoch, stream, String(number));
  }

  get checkpoint(): string {
    return `${this.#root}.state.checkpoint`;
  }

  get ping(): string {
    return `${this.#root}.cursor.ping`;
  }

  cursor(feed: string): string {
    return this.#subject('cursor.feed', feed);
  }

  position(source: string, key: string): string {
    return this.#subject('cursor.source', source, key);
  }

  get conflict(): string {
    return `${this.#root}.conflict`;
  }

  get conflictPart(): string {
    return `${this.#root}.conflict.part`;
  }

  get deadLetter(): string {
    return `${this.#root}.dead-letter`;
  }

  get deadLetterPart(): string {
    return `${this.#root}.dead-letter.part`;
  }

  /** The count of dead letters as of the last removed one. */
  get deadLettersRemoved(): string {
    return `${this.#root}.cursor.dead-letters`;
  }

  erasure(id: number): string {
    return this.#subject('cursor.erasure', String(id));
  }

  get erasures(): string {
    return `${this.#root}.cursor.erasure.>`;
  }

  /** The repetitions of a stream. */
  repeat({ gateway, epoch, stream }: StreamKey): string {
    return this.#subject('repeat', gateway, epoch, stream);
  }

  /** The subjects of each JetStream stream. */
  get subjects(): Readonly<
    Record<'records' | 'commits' | 'state' | 'cursors' | 'conflicts' | 'deadLetters' | 'repeats', string[]>
  > {
    return {
      records: [`${this.#root}.records.>`, this.large],
      commits: [this.commit],
      state: [`${this.#root}.state.>`],
      cursors: [`${this.#root}.cursor.>`],
      conflicts: [this.conflict, this.conflictPart],
      deadLetters: [this.deadLetter, this.deadLetterPart],
      repeats: [`${this.#root}.repeat.>`],
    };
  }

  #subject(kind: string, ...ids: readonly string[]): string {
    return [this.#root, kind, ...ids.map(token)].join('.');
  }
}

/** Different texts have different tokens. */
function token(text: string): string {
  if (text === '') return '=';
  const escaped = text.replaceAll(/[^A-Za-z0-9_-]/gu, (character) =>
    Buffer.from(character).reduce((all, byte) => `${all}=${byte.toString(16).padStart(2, '0')}`, ''),
  );
  return escaped.length <= TOKEN_CHARACTERS_MAX
    ? escaped
    : `=h${createHash('sha256').update(text).digest('hex')}`;
}
