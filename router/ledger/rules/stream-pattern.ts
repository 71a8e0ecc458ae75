/**
 * Whether a stream's name matches the pattern of a rule, in which `*` stands for any characters. Takes linear
 * time, however many `*` there are.
 */
export function matchesPattern(pattern: string, stream: string): boolean {
  const [head = '', ...rest] = pattern.split('*');
  const tail = rest.pop();
  if (tail === undefined) return stream === head;
  if (!stream.startsWith(head) || stream.length < head.length + tail.length) return false;
  let at = head.length;
  for (const part of rest) {
    const found = stream.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return stream.endsWith(tail) && at <= stream.length - tail.length;
}
