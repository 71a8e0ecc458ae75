/** The form in which a receipt travels: signed by this router's key, with an unsigned copy for old agents. */
import { type Receipt, receiptJson } from '../../shared/receipt.ts';
import { type SignedDocument, signDocument } from '../../shared/signing/document.ts';
import type { Signer } from '../../shared/signing/signature.ts';

export interface ReceiptBody {
  /** The unsigned copy. Null without one, so that a shadow keeps none from before. */
  receipt: object | null;
  signed: SignedDocument;
}

export class ReceiptForm {
  readonly #signer: Signer;
  readonly #hasCopy: boolean;

  constructor(options: { signer: Signer; unsignedCopy: boolean }) {
    this.#signer = options.signer;
    this.#hasCopy = options.unsignedCopy;
  }

  body(receipt: Receipt): ReceiptBody {
    const { gateway, version } = receipt;
    const json = receiptJson(receipt);
    const content = Buffer.from(JSON.stringify(json));
    const signed = signDocument([this.#signer], 'receipt', { gateway, version, content });
    return { receipt: this.#hasCopy ? json : null, signed };
  }

  /** The body as JSON, in ASCII. */
  text(receipt: Receipt): string {
    return JSON.stringify(this.body(receipt));
  }
}
