/**
 * A TLS alert of the other side that says: not with this certificate. Our own doubts about theirs have other
 * codes.
 */

/**
 * The alerts of RFC 8446, 6.2, by which a server refuses a client's certificate, as OpenSSL names them; the
 * part before `ALERT` differs between its versions.
 */
const ALERTS =
  /ALERT_(BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|CERTIFICATE_(REVOKED|EXPIRED|UNKNOWN|REQUIRED)|UNKNOWN_CA|ACCESS_DENIED)$/;

/** `code` is that of a Node.js TLS error. */
export function refusesCertificate(code: string): boolean {
  return ALERTS.test(code);
}
