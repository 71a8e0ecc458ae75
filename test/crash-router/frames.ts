/** The protocol between the run and a replica: frames of a length, a number, two small numbers and bytes. */

export interface Frame {
  id: number;
  /**
   * To a replica: the source's index. From it: 1 when the message was settled, 0 when it was left for
   * redelivery.
   */
  tag: number;
  deliveryCount: number;
  bytes: Uint8Array;
}

const HEADER_BYTES = 10;

export function encodeFrame({ id, tag, deliveryCount, bytes }: Frame): Buffer {
  const frame = Buffer.allocUnsafe(HEADER_BYTES + bytes.length);
  frame.writeUInt32BE(bytes.length, 0);
  frame.writeUInt32BE(id, 4);
  frame.writeUInt8(tag, 8);
  frame.writeUInt8(Math.min(255, deliveryCount), 9);
  frame.set(bytes, HEADER_BYTES);
  return frame;
}

/** Returns a function that takes the pieces of a byte stream and gives `take` each complete frame. */
export function frameReader(take: (frame: Frame) => void): (piece: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  return (piece) => {
    rest = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
    let position = 0;
    while (rest.length - position >= HEADER_BYTES) {
      const end = position + HEADER_BYTES + rest.readUInt32BE(position);
      if (rest.length < end) break;
      take({
        id: rest.readUInt32BE(position + 4),
        tag: rest.readUInt8(position + 8),
        deliveryCount: rest.readUInt8(position + 9),
        bytes: rest.subarray(position + HEADER_BYTES, end),
      });
      position = end;
    }
    rest = rest.subarray(position);
  };
}
