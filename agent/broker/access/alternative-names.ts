/**
 * Node writes the subject alternative names of a certificate as one text. Values that could be taken for
 * something else (a comma, a quote, a control character) stand in it as JSON strings since CVE-2021-44532. No
 * device's name needs that, so a quoted value is given as null; and a text that is not wholly understood is
 * not understood at all.
 */

/** RFC 5280, 4.2.1.6. */
export interface AlternativeName {
  /** What kind of name it is, in OpenSSL's word (GENERAL_NAME_print): DNS, URI, email, … */
  label: string;
  /** Null when it is not plain text. */
  value: string | null;
}

/** One entry and what ends it; a label holds no colon. */
const ENTRY = /([A-Za-z][A-Za-z0-9 ]*):("(?:[^"\\]|\\.)*"|[^",]*)(?:, |$)/y;

/**
 * `text`: `X509Certificate.subjectAltName`, undefined when the certificate has none. Null when it cannot be
 * read.
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
