/** Client certificates: their validity, and the TLS alerts by which a server refuses one. */
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { wallMsOf } from '../../shared/clock.ts';
import type { Validity } from './provider-type.ts';

/**
 * The alerts of RFC 8446, 6.2, by which a server refuses a client certificate, with OpenSSL's names; the part
 * before `ALERT` differs between OpenSSL versions.
 */
const ALERTS =
  /ALERT_(BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|CERTIFICATE_(REVOKED|EXPIRED|UNKNOWN|REQUIRED)|UNKNOWN_CA|ACCESS_DENIED)$/;

/**
 * Whether the server refused the client certificate. `code`: code of a Node.js TLS error. Failures to verify
 * the server's certificate have other codes.
 */
export function refusesCertificate(code: string): boolean {
  return ALERTS.test(code);
}

/**
 * notBefore and notAfter of the first certificate in a PEM file, which is the leaf; null when it is not
 * readable.
 */
export async function certificateValidity(file: string | undefined): Promise<Validity | null> {
  if (file === undefined) return null;
  try {
    const { validFrom, validTo } = new X509Certificate(await readFile(file));
    return { fromMs: wallMsOf(validFrom), untilMs: wallMsOf(validTo) };
  } catch {
    return null; // The connect reports the error.
  }
}
