/**
 * rhea omits the fields of a frame after the last one that is set. The service sends all fields, and its
 * clients for other languages rely on that (AMQP 1.0, 2.7 "Performatives").
 */
import type { Session } from 'rhea';

/** Fields of each performative, by its descriptor. */
const FIELDS: ReadonlyMap<number, number> = new Map([
  [0x11, 8], // begin
  [0x12, 14], // attach
  [0x13, 11], // flow
  [0x14, 11], // transfer
  [0x15, 6], // disposition
  [0x16, 3], // detach
  [0x17, 1], // end
]);

/** A frame in rhea's queue before it is written. */
interface Frame {
  value: unknown[];
  constructor: { descriptor?: { numeric: number } };
}

/** The parts of a session that rhea's types omit. */
interface Sending {
  local: { begin: { handle_max: number } };
  output(frame: Frame, payload?: Buffer): void;
}

/** Makes every later frame of the session have all its fields. */
export function sendWholeFrames(session: Session, handleMax: number): void {
  const sending = session as Session & Sending;
  sending.local.begin.handle_max = handleMax;
  const output = sending.output.bind(session);
  sending.output = (frame, payload) => {
    const count = FIELDS.get(frame.constructor.descriptor?.numeric ?? 0) ?? 0;
    while (frame.value.length < count) frame.value.push(undefined);
    output(frame, payload);
  };
}
