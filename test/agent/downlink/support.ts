/** Shared by the tests of the downlinks: a running downlink, with a list of the receipts that it takes in. */
import type { KeyObject } from 'node:crypto';
import type { Test } from 'tap';
import type { DownlinkDeps } from '../../../agent/downlink/downlink-type.ts';
import { openDownlink } from '../../../agent/downlink/open.ts';
import { ReceiptReceiver, type ReceiptTrust } from '../../../agent/downlink/receiver.ts';
import { downlinkSchema } from '../../../agent/downlink/types.ts';
import { type Clock, systemClock } from '../../../shared/clock.ts';
import { createLogger } from '../../../shared/log.ts';
import type { Receipt } from '../../../shared/receipt.ts';
import { keyIdOf } from '../../../shared/signing/signature.ts';
import { deps } from '../../loopback/gcp-support.ts';
import { ROUTER } from '../../router/receipts/support.ts';

export const never = new AbortController().signal;

/** A receipt through a cloud is no answer of a router. */
const unexpected = (): never => {
  throw new Error('a cloud is no router that answers');
};

/** Only signed receipts count, and only of {@link ROUTER}. */
export const TRUST = trustOf('signed', ROUTER.publicKey);

export function trustOf(accept: ReceiptTrust['accept'], ...keys: KeyObject[]): ReceiptTrust {
  return { accept, keyOf: (keyId) => keys.find((key) => keyIdOf(key) === keyId) ?? null };
}

/** No request ends by its time limit: each that ends was ended by the test. */
export const TIMELESS: Clock = { ...systemClock, setTimer: () => ({ cancel: () => undefined }) };

export interface OpenOptions {
  clock?: Clock;
  tracker?: Partial<DownlinkDeps['tracker']>;
  /** Default: {@link TRUST}. */
  trust?: ReceiptTrust;
  twins?: DownlinkDeps['twins'];
  /** The synchronised clock. */
  wallMs?: number;
}

/** Started, and stopped when the test ends. The gateway is gw-1. */
export async function openConfigured(t: Test, config: unknown, options: OpenOptions = {}) {
  const receipts: Receipt[] = [];
  const lines: string[] = [];
  const log = createLogger({ level: 'info', levels: {} }, { write: (line) => lines.push(line) });
  let told = 0;
  const tracker = {
    apply: (receipt: Receipt) => void receipts.push(receipt),
    onCloudReceipt() {
      told += 1;
    },
    onRouterAnswer: unexpected,
    onRouterSilent: unexpected,
    isWaiting: true,
    ...options.tracker,
  };
  const { trust = TRUST, clock = deps.clock, wallMs = null } = options;
  const receiver = new ReceiptReceiver({
    gateway: 'gw-1',
    tracker,
    trust,
    trustedWallMs: () => wallMs,
    clock,
    log,
  });
  const downlink = openDownlink(downlinkSchema.parse(config), {
    ...{ ...deps, log, gateway: 'gw-1', receiver, tracker },
    clock,
    twins: options.twins ?? new Map(),
  });
  await downlink.start();
  t.teardown(() => downlink.stop());
  return { downlink, receipts, receiver, lines, told: () => told };
}

/** `holes`: ranges that are missing, of one record each. */
export function receipt(version: number, gateway = 'gw-1', holes = 1): Receipt {
  const missing = Array.from({ length: holes }, (_, i) => ({ first: 2 * i + 2, last: 2 * i + 2 }));
  const stream = {
    epoch: '1-aa',
    stream: 'telemetry',
    to: 3000,
    missing,
    givenUp: [],
    givenUpFrom: 1,
    sealedAt: null,
  };
  return { gateway, version, streams: [stream] };
}

/** Of log lines. */
export function events(lines: readonly string[]): string[] {
  return lines.map((line) => JSON.parse(line).event);
}
