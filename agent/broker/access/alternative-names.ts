/**
 * Node writes the subject alternative names of a certificate as one text. Since CVE-2021-44532, Node writes a
 * value with a comma, a quote or a control character as a JSON string. A device name needs none of these, so
 * a quoted value is given as null. A text that does not parse to its end counts as unreadable.
 */

/** An entry of subjectAltName: RFC 5280, 4.2.1.6. */
export interface AlternativeName {
  /** The kind of name in OpenSSL's word (GENERAL_NAME_print): DNS, URI, email, … */
  label: string;
  /** Null when the value is not plain text. */
  value: string | null;
}

/** One entry and its separator. A label holds no colon. */
const ENTRY = /([A-Za-z][A-Za-z0-9 ]*):("(?:[^"\\]|\\.)*"|[^",]*)(?:, |$)/y;

/**
 * Parses `X509Certificate.subjectAltName`, which is undefined for a certificate without one. Returns null
 * when the text is unreadable.
 */
export function alternativeNames(text: string | undefined): AlternativeName[] | null {
  if (text === undefined) return [];
  const entry = new RegExp(ENTRY);
  const names: AlternativeName[] = [];
  for (let end = 0; end < text.length; end = entry.lastIndex) {
    const found = entry.exec(text);
    if (!found) return null;
    const [, label = '', value = ''] = found;
    names.push({ label, value: value.startsWith('"') ? null : value });
  }
  return names;
}
