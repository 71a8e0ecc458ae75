/**
 * aedes 1.2.0 does not limit the size of packets: eight sockets that announce 256 MB each and send it take a
 * gigabyte, before any of them is authenticated. The limit is enforced where the parser has read the length
 * of a packet and nothing of its content yet.
 */
import type { Client } from 'aedes';
import { CONNECT_BYTES_MAX } from '../listeners/connect-deadline.ts';
import { parserOf } from './parser.ts';

/**
 * Ends the connection of `client` when a packet's remaining length (MQTT 3.1.1 section 2.2.3) is over
 * `maxPacketBytes`, or over 4 KiB for its first packet. Call before the client has read anything.
 */
export function limitPackets(
  client: Client,
  maxPacketBytes: number,
  onExceeded: (bytes: number) => void,
): void {
  const parser = parserOf(client);
  const parseLength = parser._parseLength.bind(parser);
  const emitError = parser._emitError.bind(parser);
  let limit = Math.min(CONNECT_BYTES_MAX, maxPacketBytes);
  parser._parseLength = () => {
    if (!parseLength()) return false;
    const { length } = parser.packet;
    if (length > limit) {
      onExceeded(length);
      // The parser stops at an error, and the client ends its connection.
      emitError(new Error(`packet of ${length} bytes; the limit is ${limit}`));
      return false;
    }
    limit = maxPacketBytes;
    return true;
  };
}
