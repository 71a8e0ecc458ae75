/**
 * MQTT topic filters, MQTT 3.1.1 section 4.7. Streams select publishes and device rules select topics by
 * them. Topics and filters are compared level by level, case-sensitive, without normalisation [MQTT-4.7.3-4].
 */

/** Longest topic or filter, in UTF-8 bytes [MQTT-4.7.3-3]. */
const MAX_TOPIC_BYTES = 65_535;

/** Why `filter` is not a topic filter, or null when it is one. */
export function topicFilterProblem(filter: string): string | null {
  const common = textProblem(filter);
  if (common !== null) return common;
  const levels = filter.split('/');
  for (const [index, level] of levels.entries()) {
    if (level.includes('#') && (level !== '#' || index !== levels.length - 1)) {
      return '"#" must be the whole last level'; // [MQTT-4.7.1-2]
    }
    if (level.includes('+') && level !== '+') return '"+" must be a whole level'; // [MQTT-4.7.1-3]
  }
  return null;
}

/**
 * Why `topic` cannot be published to, or null when it can: empty, too long, with U+0000 or with a wildcard
 * [MQTT-3.3.2-2].
 */
export function topicNameProblem(topic: string): string | null {
  if (/[+#]/.test(topic)) return 'a topic name holds no wildcard';
  return textProblem(topic);
}

/**
 * Whether `topic` matches `filter`. Both must be valid: `a/#` also matches `a` itself (section 4.7.1.2), an
 * empty level counts as a level, and a filter with a leading wildcard never matches a topic that starts with
 * `$` [MQTT-4.7.2-1].
 */
export function topicMatches(filter: string, topic: string): boolean {
  if (topic.startsWith('$') && /^[+#]/.test(filter)) return false;
  const wanted = filter.split('/');
  const levels = topic.split('/');
  for (const [index, level] of wanted.entries()) {
    if (level === '#') return true;
    if (index >= levels.length) return false;
    if (level !== '+' && level !== levels[index]) return false;
  }
  return wanted.length === levels.length;
}

/**
 * Whether every topic that matches `asked` also matches `allowed` (MQTT 3.1.1 section 4.7). Both must be
 * valid filters.
 */
export function filterCovers(allowed: string, asked: string): boolean {
  // [MQTT-4.7.2-1]: a leading wildcard matches no topic that begins with "$".
  if (asked.startsWith('$') && /^[+#]/.test(allowed)) return false;
  const wanted = allowed.split('/');
  const levels = asked.split('/');
  for (const [index, level] of wanted.entries()) {
    if (level === '#') return true;
    const found = levels[index];
    if (found === undefined || found === '#') return false;
    if (level !== '+' && level !== found) return false;
  }
  return wanted.length === levels.length;
}

/** Rules for both topics and filters: section 4.7.3 [MQTT-4.7.3-1] [MQTT-4.7.3-2] [MQTT-4.7.3-3]. */
function textProblem(text: string): string | null {
  if (text.length === 0) return 'must not be empty';
  if (text.includes('\0')) return 'must not hold U+0000';
  if (Buffer.byteLength(text) > MAX_TOPIC_BYTES) return `must not be longer than ${MAX_TOPIC_BYTES} bytes`;
  return null;
}
