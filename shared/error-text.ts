/** Apart from shared/log.ts: a thread that does not log loads no logger for it. */

/** The text of a thrown value, without its stack, cut to a length that fits a log line. */
export function errorText(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : thrownText(error);
  return text.length > 500 ? `${text.slice(0, 500)}…` : text;
}

/** SDKs also pass plain objects for errors: gRPC's status has `details`. */
function thrownText(thrown: unknown): string {
  if (typeof thrown !== 'object' || thrown === null) return String(thrown);
  const fields = ['message', 'details'].map((name) => Reflect.get(thrown, name));
  const text = fields.find((field) => typeof field === 'string' && field !== '');
  return typeof text === 'string' ? text : 'an error without a text';
}
