/**
 * `GET /v1/gateways/{id}/downlink?after=N&wait=S`: a long poll for a gateway's receipt. 200 with a receipt of
 * a version above N, 204 when there is none within S seconds.
 */
import { z } from 'zod';
import { errorText } from '../../../shared/log.ts';
import type { SparseLog } from '../../../shared/sparse-log.ts';
import { problemOf } from '../../../shared/wire-json.ts';
import type { ReceiptForm } from '../../receipts/form.ts';
import type { Receipts } from '../../receipts/receipts.ts';
import type { Answer } from './answer.ts';

const WAIT_S_MAX = 30;
const WAIT_S = 20;
/** Concurrent polls of one gateway: the current one, and one whose end the router has not yet seen (I10). */
const POLLS_MAX = 2;
const RETRY_AFTER_S = 1;
/** Far above any clock value, and a safe integer. */
const VERSION_MAX = 2 ** 52;

const querySchema = z.object({
  after: z.coerce.number().int().min(0).max(VERSION_MAX).default(0),
  wait: z.coerce.number().min(0).max(WAIT_S_MAX).default(WAIT_S),
});

export class Downlink {
  readonly #receipts: Receipts;
  readonly #form: ReceiptForm;
  readonly #log: SparseLog;
  readonly #polls = new Map<string, number>();

  constructor({ receipts, form, log }: { receipts: Receipts; form: ReceiptForm; log: SparseLog }) {
    this.#receipts = receipts;
    this.#form = form;
    this.#log = log;
  }

  /** Never rejects. `signal` aborts when the client is gone. */
  async poll(gateway: string, query: unknown, signal: AbortSignal): Promise<Answer> {
    const parsed = querySchema.safeParse(query);
    if (!parsed.success) return { status: 400, body: { error: problemOf(parsed.error) } };
    const own = this.#polls.get(gateway) ?? 0;
    if (own >= POLLS_MAX) {
      return { status: 429, body: { error: 'too many polls at once' }, retryAfterS: RETRY_AFTER_S };
    }
    this.#polls.set(gateway, own + 1);
    try {
      const { after, wait } = parsed.data;
      const receipt = await this.#receipts.next(gateway, after, wait * 1000, signal);
      return receipt ? { status: 200, body: this.#form.body(receipt) } : { status: 204, body: null };
    } catch (error) {
      this.#log.warn('api.downlink_failed', { gateway, error: errorText(error) });
      return { status: 503, body: { error: 'the ledger does not answer' }, retryAfterS: RETRY_AFTER_S };
    } finally {
      const left = (this.#polls.get(gateway) ?? 1) - 1;
      if (left > 0) this.#polls.set(gateway, left);
      else this.#polls.delete(gateway);
    }
  }
}
