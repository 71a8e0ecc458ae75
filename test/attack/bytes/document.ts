/** Signed documents for gateways, made by hand from docs/reference/documents.md alone. */
import { createHash, createPublicKey, type KeyObject, sign } from 'node:crypto';

const TYPE = 'application/vnd.headgate.receipt';

/** The whole text that a downlink brings: a receipt under a signature of `key`, or without one. */
export function documentOf(
  receipt: { gateway: string; version: number; [field: string]: unknown },
  key: KeyObject | null,
): string {
  if (key === null) return JSON.stringify({ receipt });
  const { gateway, version } = receipt;
  const versionBytes = Buffer.alloc(8);
  versionBytes.writeBigUInt64BE(BigInt(version));
  const name = Buffer.from(gateway);
  const content = Buffer.from(JSON.stringify(receipt));
  const payload = Buffer.concat([Buffer.of(1, name.length), name, versionBytes, content]);
  const message = Buffer.concat([Buffer.from(`DSSEv1 ${TYPE.length} ${TYPE} ${payload.length} `), payload]);
  const der = createPublicKey(key).export({ type: 'spki', format: 'der' });
  const keyid = createHash('sha256').update(der).digest('hex').slice(0, 16);
  const signatures = [{ keyid, sig: sign(null, message, key).toString('base64') }];
  const signed = { payloadType: TYPE, payload: payload.toString('base64'), signatures };
  return JSON.stringify({ receipt: null, signed });
}
