/** The parts of a URL that its user writes percent-encoded. Pure. */

/** Said of a URL that is not so. */
export const URL_PARTS_HINT =
  'write a "%" in the user, the password or the host as %25, and "@", ":" and "/" there as %40, %3A and %2F';

/**
 * Whether the user, the password and the host can be decoded (RFC 3986, section 2.1). True for a text that is
 * no URL: its own check says so.
 */
export function areUrlPartsEncoded(text: string): boolean {
  if (!URL.canParse(text)) return true;
  const { username, password, hostname } = new URL(text);
  try {
    for (const part of [username, password, hostname]) decodeURIComponent(part);
    return true;
  } catch {
    return false;
  }
}
