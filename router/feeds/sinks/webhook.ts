/**
 * POSTs batches of records to a URL, signed by Standard Webhooks 1.0.0 (standardwebhooks.com). Only a 2xx
 * answer moves the feed's position; a redirect does not.
 *
 * `webhook-id` is a digest of the body, so a batch that is sent again has the same id, even from another
 * router. After a restart the batches may be cut differently and have other ids: receivers recognise every
 * repeat by the record ids.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { type Clock, isoTime } from '../../../shared/clock.ts';
import { byteSize, duration } from '../../../shared/config/kinds.ts';
import { networkAccess } from '../../../shared/network/options.ts';
import { isThisMachine } from '../../../shared/network/proxy.ts';
import { retryAfterMs } from '../../../shared/network/retry-after.ts';
import { packageVersion } from '../../../shared/version.ts';
import type { LedgerRecord } from '../../ledger/types.ts';
import { DeliveryError, type FeedSink } from '../sink.ts';
import { CLOUD_EVENTS_BATCH, cloudEventJson } from './cloud-event.ts';
import { HttpPost } from './http-post.ts';
import { recordJson } from './record-json.ts';
import { parseSecrets, signatureHeader } from './webhook-signature.ts';

export const webhookFeedOptions = z
  .strictObject({
    url: z
      .url({ protocol: /^https?$/, error: 'expected a URL such as https://example.com/headgate' })
      .describe('Where the batches are POSTed. Redirects are not followed.'),
    secret: z
      .string()
      .refine(
        (text) => parseSecrets(text) !== null,
        'expected whsec_ and 24–64 bytes in base64, or several of these set apart by white space',
      )
      .describe(
        'Key of the signatures, whsec_ and base64; give it as file:/path. During a rotation give both keys, one a line: each batch is signed with both.',
      ),
    format: z
      .enum(['json', 'cloudevents'])
      .default('json')
      .describe('json: one object with the records; cloudevents: a CloudEvents 1.0 JSON batch.'),
    batch_records: z.int().min(1).max(5000).default(500).describe('Most records in one POST.'),
    batch_bytes: byteSize()
      .default(256 * 1024)
      .describe('Largest body; a larger record goes alone.'),
    timeout: duration()
      .default(15_000)
      .describe('Limit for one POST and its answer; then the feed tries again.'),
    ca: z
      .string()
      .exactOptional()
      .describe('PEM of the authority that signed the server’s certificate; default: the usual ones.'),
    insecure: z
      .boolean()
      .default(false)
      .describe('Allows http:// to another machine: records go there unencrypted.'),
    ...networkAccess,
  })
  .superRefine(({ url, insecure }, context) => {
    if (insecure || isSafe(url)) return;
    const message =
      'expected https://; http:// is for a receiver on this machine, since records would go unencrypted';
    const hint = 'use https://, or set insecure: true';
    context.addIssue({ code: 'custom', path: ['url'], message, params: { hint } });
  })
  .describe('POSTs batches of records to a URL, signed, at least once.');

/** https, or http to this machine. */
function isSafe(url: string): boolean {
  if (!URL.canParse(url)) return true;
  const { protocol, hostname } = new URL(url);
  return protocol === 'https:' || isThisMachine(hostname.replace(/^\[(.*)\]$/, '$1'));
}

export type WebhookFeedOptions = z.output<typeof webhookFeedOptions>;

interface Format {
  contentType: string;
  one(record: LedgerRecord): string;
  /** The text around the records, which commas join. `last` is the last record. */
  frame(last: LedgerRecord): { head: string; tail: string };
}

/** `type` and `timestamp` after Standard Webhooks, "Payload structure". */
const JSON_BATCH: Format = {
  contentType: 'application/json',
  one: recordJson,
  frame: ({ receivedWallMs }) => ({
    head: `{"type":"headgate.records","timestamp":"${isoTime(receivedWallMs)}","data":{"records":[`,
    tail: ']}}',
  }),
};
const CLOUD_EVENTS: Format = {
  contentType: CLOUD_EVENTS_BATCH,
  one: cloudEventJson,
  frame: () => ({ head: '[', tail: ']' }),
};

const GONE = 410;
const TOO_LARGE = 413;
/** Answers about the content of the request (RFC 9110, 15.5). */
const REFUSALS = new Set([400, 406, 409, TOO_LARGE, 415, 422, 431, 451]);
/** Failures while the receiver worked on the content: a defect there may come with the record. */
const SUSPICIONS = new Set([500, 501]);

export class WebhookSink implements FeedSink {
  readonly #format: Format;
  /** Smaller than the option once the receiver has answered that a body was too large. */
  #batchBytes: number;
  readonly #keys: readonly Buffer[];
  readonly #clock: Clock;
  readonly #post: HttpPost;
  /** Read once: a post must not need a file descriptor for it. */
  readonly #userAgent = `headgate/${packageVersion()}`;

  constructor(options: WebhookFeedOptions, clock: Clock) {
    const { url, secret, format, batch_bytes, timeout, ca } = options;
    this.#format = format === 'json' ? JSON_BATCH : CLOUD_EVENTS;
    this.#batchBytes = batch_bytes;
    this.#keys = parseSecrets(secret) ?? [];
    this.#clock = clock;
    this.#post = new HttpPost({ url, ca: ca ?? null, timeoutMs: timeout, network: options, clock });
  }

  async write(records: readonly LedgerRecord[]): Promise<number> {
    const { body, count } = this.#batch(records);
    const id = `msg_${createHash('sha256').update(body).digest('hex').slice(0, 32)}`;
    const timestampS = Math.floor(this.#clock.wallMs() / 1000);
    const { status, retryAfter, date } = await this.#post.send(
      {
        'content-type': this.#format.contentType,
        'user-agent': this.#userAgent,
        'webhook-id': id,
        'webhook-timestamp': String(timestampS),
        'webhook-signature': signatureHeader(this.#keys, { id, timestampS, body }),
      },
      body,
    );
    if (status >= 200 && status < 300) return count;
    if (status === TOO_LARGE && count > 1) this.#batchBytes = Math.floor(body.length / 2);
    throw new DeliveryError(`HTTP ${status}`, {
      refusal: REFUSALS.has(status) ? 'certain' : SUSPICIONS.has(status) ? 'suspected' : 'none',
      records: count,
      gone: status === GONE,
      retryAfterMs: retryAfterMs(retryAfter, { date, wallMs: this.#clock.wallMs() }),
    });
  }

  async close(): Promise<void> {
    this.#post.close();
  }

  /** As many of `records` as fit the body, at least one. */
  #batch(records: readonly LedgerRecord[]): { body: Buffer; count: number } {
    const texts: string[] = [];
    let bytes = 0;
    for (const record of records) {
      const text = this.#format.one(record);
      bytes += Buffer.byteLength(text) + 1;
      if (texts.length > 0 && bytes > this.#batchBytes) break;
      texts.push(text);
    }
    const last = records[texts.length - 1];
    const { head, tail } = last ? this.#format.frame(last) : { head: '', tail: '' };
    return { body: Buffer.from(`${head}${texts.join(',')}${tail}`), count: texts.length };
  }
}
