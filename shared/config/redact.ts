/**
 * Keeps secrets out of what the configuration code prints. Three nets, because a secret can stand anywhere:
 * the name of a field, the shape of a text, and the texts that are known to be secret (every resolved
 * reference).
 */

const SECRET_NAME =
  /password|passphrase|secret|token|credential|connection_?string|(private|access|account|shared|api|signing)_?key|signature|authorization/i;

const USERINFO = /\/\/[^/@\s"']+@/g;
const KEY_VALUE = /\b(SharedAccessKey|SharedAccessSignature|AccountKey|sig|password|pwd)=[^;&\s"'…]+/gi;

/**
 * Shortest text that is worth hiding wherever it turns up; shorter ones would blot out half of every message.
 */
const MIN_SECRET_LENGTH = 6;

/** Whether the field at `path`, or anything it stands under, is named like a secret. */
export function isSecretPath(path: readonly PropertyKey[]): boolean {
  return path.some((segment) => SECRET_NAME.test(String(segment)));
}

/** `text` without user:password in URLs, without keys in connection strings, and without any of `secrets`. */
export function scrub(text: string, secrets: Iterable<string>): string {
  let clean = text;
  for (const secret of secrets) {
    if (secret.length >= MIN_SECRET_LENGTH) clean = clean.replaceAll(secret, '[redacted]');
  }
  return clean.replace(USERINFO, '//[redacted]@').replace(KEY_VALUE, '$1=[redacted]');
}
