/**
 * The way of receipts to a gateway: the real long poll, receiver and tracker on the agent's side, the real
 * receipts on the router's, and between them a network that delays, loses questions and loses answers.
 *
 * A machine that sleeps asks when it wakes, unless something waits for a receipt: then it asks as often as
 * the agent does.
 */
import { Downlink } from '../../agent/downlink/downlink.ts';
import { LongPoll } from '../../agent/downlink/long-poll.ts';
import type { ReceiptTracker } from '../../agent/downlink/receipt-tracker.ts';
import { ReceiptReceiver } from '../../agent/downlink/receiver.ts';
import type { Entropy } from '../../shared/entropy.ts';
import type { Logger } from '../../shared/log.ts';
import { RECEIPT_BYTES_MAX, readReceipt, receiptJson } from '../../shared/receipt.ts';
import { contentOf, openDocument } from '../../shared/signing/document.ts';
import { FORM, formOf, ROUTER_KEY, type SimRouter } from './router.ts';
import type { Machine, ProcessClock } from './time.ts';

const LATENCY_MS_MIN = 10;
const LATENCY_MS_MAX = 100;
/** Of the questions that something waits for, and as many of the answers. */
const LOST_SHARE = 0.03;
/** A machine that sleeps, and waits for no receipt, asks this often. */
const IDLE_MS = 1_200_000;
/** Around a receipt the machine stays awake for so long. */
const AWAKE_MS = 400;

/** The network's effect on the receipts while it lasts. */
export interface DownlinkFault {
  /** Null: all gateways. */
  gateway: string | null;
  /** Share of the polls that fail, 0–1. */
  share: number;
}

export interface ReceiptWayOptions {
  gateway: string;
  tracker: ReceiptTracker;
  router: SimRouter;
  faults: ReadonlySet<DownlinkFault>;
  machine: Machine;
  clock: ProcessClock;
  entropy: Entropy;
  log: Logger;
}

type Connection = Awaited<ReturnType<NonNullable<ConstructorParameters<typeof LongPoll>[0]['open']>>>;
type Answered = Awaited<ReturnType<Connection['send']>>;

/** A stranger acts at each such receipt. */
const STRANGER_EVERY = 8;
const FORGER = formOf(9).form;

const CONFIG = {
  type: 'https',
  name: 'router',
  url: 'https://router.invalid',
  audience: 'headgate',
} as const;

/** The agent's downlink, for one of its lives. */
export function receiptWay(options: ReceiptWayOptions): Downlink {
  const { gateway, tracker, clock, entropy, log } = options;
  const trust = { accept: 'signed', keyOf: () => ROUTER_KEY } as const;
  const receiver = new ReceiptReceiver({ gateway, tracker, trust, trustedWallMs: () => null, clock, log });
  const stranger = new Stranger(receiver, tracker);
  const open = async (): Promise<Connection> => ({
    send: async ({ path }, { endsAtMs }) => {
      const answer = await sent(options, path, endsAtMs - clock.monoMs());
      if (answer.kind === 'answer' && answer.status === 200) stranger.sees(answer.body);
      return answer;
    },
    close: () => undefined,
  });
  const question = new LongPoll({ config: CONFIG, gateway, receiver, tracker, clock, open });
  return new Downlink({ name: CONFIG.name, question, clock, entropy, log });
}

/**
 * Somebody with rights on a second carrier, who has read the router's receipts: puts lies into it, and old
 * receipts again. It costs the world neither time nor entropy.
 */
class Stranger {
  readonly #receiver: ReceiptReceiver;
  readonly #tracker: ReceiptTracker;
  #seen = 0;
  #oldest: Uint8Array | null = null;

  constructor(receiver: ReceiptReceiver, tracker: ReceiptTracker) {
    this.#receiver = receiver;
    this.#tracker = tracker;
  }

  sees(body: Uint8Array): void {
    this.#oldest ??= body;
    this.#seen += 1;
    if (this.#seen % STRANGER_EVERY !== 0) return;
    for (const text of [...this.#lies(body), this.#oldest]) {
      if (this.#receiver.receive('shadow', Buffer.from(text)) === 'applied') this.#tracker.onCloudReceipt();
    }
  }

  /** Everything is committed: unsigned, by another key, and for another gateway by the router's. */
  *#lies(body: Uint8Array): Generator<string> {
    const opened = openDocument(JSON.parse(Buffer.from(body).toString()).signed, 'receipt');
    if ('problem' in opened) throw new Error(opened.problem);
    const { document } = opened;
    const read = readReceipt(
      JSON.parse(Buffer.from(contentOf(document, RECEIPT_BYTES_MAX) ?? '').toString()),
    );
    if ('problem' in read) throw new Error(read.problem);
    const streams = read.receipt.streams.map((stream) => ({ ...stream, to: stream.to + 1000, missing: [] }));
    const lie = { ...read.receipt, version: document.version + 1, streams };
    yield JSON.stringify({ receipt: receiptJson(lie) });
    yield FORGER.text(lie);
    yield FORM.text({ ...lie, gateway: `${lie.gateway}-other` });
  }
}

async function sent(options: ReceiptWayOptions, path: string, deadlineMs: number): Promise<Answered> {
  const { gateway, tracker, router, machine, clock, entropy } = options;
  if (!tracker.isWaiting) await machine.awake(IDLE_MS);
  const latencyMs = (): number => LATENCY_MS_MIN + (LATENCY_MS_MAX - LATENCY_MS_MIN) * entropy.float();
  await clock.sleep(latencyMs());
  if (isLost(options)) return lost(clock, deadlineMs);
  const query = Object.fromEntries(new URL(path, CONFIG.url).searchParams);
  const over = new AbortController();
  const late = clock.setTimer(deadlineMs, () => over.abort());
  const answer = await router.poll(gateway, query, over.signal);
  late.cancel();
  await clock.sleep(latencyMs());
  if (!answer) return failed('the connection ended');
  if (isLost(options)) return lost(clock, deadlineMs);
  if (answer.status === 200) machine.wake(AWAKE_MS);
  const body = Buffer.from(JSON.stringify(answer.body));
  return { kind: 'answer', status: answer.status, retryAfterMs: null, body, clockMoved: false };
}

function isLost({ gateway, faults, entropy }: ReceiptWayOptions): boolean {
  const hits = [...faults].some(
    (fault) => (fault.gateway === null || fault.gateway === gateway) && entropy.float() < fault.share,
  );
  return hits || entropy.float() < LOST_SHARE;
}

async function lost(clock: ProcessClock, deadlineMs: number): Promise<Answered> {
  await clock.sleep(deadlineMs);
  return failed('no answer');
}

function failed(text: string): Answered {
  return { kind: 'failed', sent: true, cause: 'error', code: null, text };
}
