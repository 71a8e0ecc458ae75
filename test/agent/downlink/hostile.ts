/** Receipts that a stranger, or a router of before, may put into a carrier, and a run of them through one. */
import { generateKeyPairSync } from 'node:crypto';
import type { Test } from 'tap';
import type { ReceiptReceiver, ReceiptResult } from '../../../agent/downlink/receiver.ts';
import { ReceiptForm } from '../../../router/receipts/form.ts';
import { type Receipt, receiptJson } from '../../../shared/receipt.ts';
import { type SignedDocument, signDocument } from '../../../shared/signing/document.ts';
import { signerOf } from '../../../shared/signing/signature.ts';
import { FORM, ROUTER } from '../../router/receipts/support.ts';
import { until } from '../../until.ts';
import { receipt } from './support.ts';

/** The gateway's wall clock. */
export const NOW_MS = 1_795_000_000_000;
/** The version that the gateway has. */
export const HELD = 50;
const NEWER = 99;
const FAR = NOW_MS + 2 * 86_400_000;

const SIGNER = signerOf(ROUTER.privateKey);
export const FORGER = new ReceiptForm({
  signer: signerOf(generateKeyPairSync('ed25519').privateKey),
  unsignedCopy: false,
});

/** As routers before 0.2.0 send it. Null: a shadow keeps no signed one. */
export function plain(one: Receipt): string {
  return JSON.stringify({ receipt: receiptJson(one), signed: null });
}

function changed(change: (signed: SignedDocument) => object): string {
  return JSON.stringify({ receipt: null, signed: change(FORM.body(receipt(NEWER)).signed) });
}

/** By the router's own key. */
function signedAs(type: 'receipt' | 'policy', gateway: string, content: Receipt): SignedDocument {
  const json = Buffer.from(JSON.stringify(receiptJson(content)));
  return signDocument([SIGNER], type, { gateway, version: NEWER, content: json });
}

function signedText(signed: SignedDocument): string {
  return JSON.stringify({ receipt: null, signed });
}

const forgedSignature = FORGER.body(receipt(NEWER)).signed.signatures[0]?.sig ?? '';
const policy = signedAs('policy', 'gw-1', receipt(NEWER));

/** Under the router's key id, by another key. */
export const FORGED = changed((signed) => ({
  ...signed,
  signatures: [{ keyid: SIGNER.keyId, sig: forgedSignature }],
}));

export interface Hostile {
  name: string;
  text: string;
  /** With `accept: signed`. */
  result: ReceiptResult;
}

/** Each of these in every carrier. */
export const BASIC: readonly Hostile[] = [
  { name: 'forged by another key', text: FORGER.text(receipt(NEWER)), result: 'unknown-key' },
  { name: 'forged under the router’s key id', text: FORGED, result: 'signature' },
  { name: 'stripped of its signature', text: plain(receipt(NEWER)), result: 'unsigned' },
  { name: 'of another gateway', text: FORM.text(receipt(NEWER, 'gw-2')), result: 'foreign' },
  { name: 'far ahead', text: FORM.text(receipt(FAR)), result: 'implausible' },
  { name: 'older, played again', text: FORM.text(receipt(HELD - 1)), result: 'old' },
  { name: 'a policy', text: signedText(policy), result: 'malformed' },
];

export const HOSTILE: readonly Hostile[] = [
  ...BASIC,
  { name: 'the same, played again', text: FORM.text(receipt(HELD)), result: 'old' },
  {
    name: 'with another payload',
    text: changed((signed) => ({ ...signed, payload: FORM.body(receipt(NEWER - 1)).signed.payload })),
    result: 'signature',
  },
  {
    name: 'of another gateway, stripped',
    text: plain(receipt(NEWER, 'gw-2')),
    result: 'unsigned',
  },
  {
    name: 'a policy that says that it is a receipt',
    text: changed(({ payloadType }) => ({ ...policy, payloadType })),
    result: 'signature',
  },
  {
    name: 'with another gateway inside',
    text: signedText(signedAs('receipt', 'gw-1', receipt(NEWER, 'gw-2'))),
    result: 'malformed',
  },
  {
    name: 'with another version inside',
    text: signedText(signedAs('receipt', 'gw-1', receipt(NEWER - 1))),
    result: 'malformed',
  },
  {
    name: 'with one key twice',
    text: changed(({ signatures, ...rest }) => ({ ...rest, signatures: [signatures, signatures].flat() })),
    result: 'malformed',
  },
];

export interface Carried {
  receiver: ReceiptReceiver;
  /** Applied ones. */
  receipts: readonly Receipt[];
  /** Puts a text into the carrier, for gw-1. */
  put(text: string): Promise<unknown>;
}

/** A gateway that reads the carrier applies nothing but what the router signed for it. */
export async function nothingForgedCounts(t: Test, { receiver, receipts, put }: Carried): Promise<void> {
  await put(FORM.text(receipt(HELD)));
  await until('the genuine receipt came', () => receipts.length === 1);
  for (const { name, text, result } of BASIC) {
    const before = receiver.counts[result];
    await put(text);
    await until(`one was dropped: ${name}`, () => receiver.counts[result] > before);
    t.equal(receipts.length, 1, name);
  }
  await put(FORM.text(receipt(HELD + 1)));
  await until('the next genuine receipt came', () => receipts.length === 2);
  t.same(receipts, [receipt(HELD), receipt(HELD + 1)], 'as they were sent');
  t.same(receiver.unverified, { unsigned: 0, 'unknown-key': 0 });
}
