/** A router's key for tests, and receipts in the form in which a router with that key gives them away. */
import { generateKeyPairSync } from 'node:crypto';
import type { Carriage } from '../../../router/receipts/carrier.ts';
import { ReceiptForm } from '../../../router/receipts/form.ts';
import type { Receipt } from '../../../shared/receipt.ts';
import { signerOf } from '../../../shared/signing/signature.ts';

export const ROUTER = generateKeyPairSync('ed25519');

export const FORM = new ReceiptForm({ signer: signerOf(ROUTER.privateKey), unsignedCopy: false });
export const FORM_WITH_COPY = new ReceiptForm({ signer: signerOf(ROUTER.privateKey), unsignedCopy: true });

export function carriage(one: Receipt, form = FORM): Carriage {
  return { gateway: one.gateway, text: form.text(one) };
}
