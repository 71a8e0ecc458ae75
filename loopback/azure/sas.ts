/**
 * Verification of shared access signatures: `SharedAccessSignature sr=…&sig=…&se=…[&skn=…]`, where `sig` is
 * HMAC-SHA256 over `sr + "\n" + se` (Azure docs, "Control access to IoT Hub with shared access signatures"
 * and "Authenticate access to Event Hubs with shared access signatures"). IoT Hub's key is the decoded base64
 * text, Event Hubs' key is the text itself.
 */
import { createHmac } from 'node:crypto';

export interface SasToken {
  /** `sr`, decoded: the resource of the token. */
  resource: string;
  /** `skn`: the name of the policy whose key signed the token; null for a device key. */
  keyName: string | null;
  /** `se`: seconds since the Unix epoch. */
  expirySeconds: number;
}

const PREFIX = 'SharedAccessSignature ';

/** The token if its signature by `key` is valid and it has not expired at `wallMs`; null otherwise. */
export function verifySas(text: string, key: string | Uint8Array, wallMs: number): SasToken | null {
  if (!text.startsWith(PREFIX)) return null;
  const fields = new Map(
    text
      .slice(PREFIX.length)
      .split('&')
      .map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)] as const),
  );
  const [resource, signature, expiry] = [fields.get('sr'), fields.get('sig'), fields.get('se')];
  if (resource === undefined || signature === undefined || expiry === undefined) return null;
  // The signature covers `sr` as sent, still percent-encoded.
  const expected = createHmac('sha256', key).update(`${resource}\n${expiry}`).digest('base64');
  const expirySeconds = Number(expiry);
  if (decode(signature) !== expected || !(expirySeconds * 1000 > wallMs)) return null;
  const keyName = fields.get('skn');
  return {
    resource: decode(resource),
    keyName: keyName === undefined ? null : decode(keyName),
    expirySeconds,
  };
}

/** Percent-decodes; text that is not valid percent-encoding is returned unchanged. */
export function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
