/** Which streams a rule of router.yaml is for: a name, in which `*` stands for any characters. */
import { z } from 'zod';

export function streamPattern(): z.ZodString {
  return z
    .string()
    .regex(/^[a-z0-9_*-]{1,64}$/, 'expected the name of a stream; * stands for any characters')
    .describe('Name of the streams; * stands for any characters.');
}

/** In linear time, however many `*` there are. */
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
