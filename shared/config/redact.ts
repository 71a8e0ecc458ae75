/**
 * Removes secrets from the output of the configuration code. A secret can be anywhere, so there are three
 * tests: the name of a field, the shape of a text, and the list of known secrets (every resolved reference).
 */

/** The last: public keys, in whose place a private one may stand by mistake. */
const SECRET_NAME =
  /password|passphrase|secret|token|credential|connection_?string|(private|access|account|shared|api|signing|encryption)_?key|signature|authorization|^router_keys$/i;
/** A field of a YAML file, in the midst of a text. */
const FIELD = /[\w-]+(?=["']?\s*:)/g;

const USERINFO = /\/\/[^/@\s"']+@/g;
const KEY_VALUE = /\b(SharedAccessKey|SharedAccessSignature|AccountKey|sig|password|pwd)=[^;&\s"'…]+/gi;
const PRIVATE_KEY = /-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[^-]*(-----END [A-Z ]{0,30}PRIVATE KEY-----)?/g;

/** The shortest text that is hidden everywhere; shorter ones would blank out half of every message. */
const MIN_SECRET_LENGTH = 6;

/** Whether the field at `path`, or a parent of it, has the name of a secret. */
export function isSecretPath(path: readonly PropertyKey[]): boolean {
  return path.some((segment) => SECRET_NAME.test(String(segment)));
}

/** Whether `text` took in other lines of its file, as after `|` or an open quote, and a secret among them. */
export function tookInSecret(text: string): boolean {
  return [...text.matchAll(FIELD)].some(([name]) => SECRET_NAME.test(name));
}

/** `text` without private keys, user:password in URLs, keys in connection strings, and any of `secrets`. */
export function scrub(text: string, secrets: Iterable<string>): string {
  let clean = text;
  for (const secret of secrets) {
    if (secret.length >= MIN_SECRET_LENGTH) clean = clean.replaceAll(secret, '[redacted]');
  }
  return clean
    .replace(PRIVATE_KEY, '[redacted]')
    .replace(USERINFO, '//[redacted]@')
    .replace(KEY_VALUE, '$1=[redacted]');
}
