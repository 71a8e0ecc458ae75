/**
 * The on-disk form of the broker's session packets: CBOR (RFC 8949) of the fields that MQTT 3.1.1 and aedes
 * need.
 */
import { z } from 'zod';
import { decodeCbor } from '../../../shared/envelope/cbor.ts';

const FIELDS = [
  'cmd',
  'topic',
  'payload',
  'qos',
  'retain',
  'dup',
  'messageId',
  'brokerId',
  'brokerCounter',
  'digest',
  'clientId',
  'owner',
] as const;

const storedPacket = z.object({
  cmd: z.string().default('publish'),
  topic: z.string().default(''),
  payload: z
    .instanceof(Uint8Array)
    .transform((bytes) => Buffer.from(bytes))
    .default(Buffer.alloc(0)),
  qos: z.union([z.literal(0), z.literal(1), z.literal(2)]).default(0),
  retain: z.boolean().default(false),
  dup: z.boolean().default(false),
  messageId: z.int().optional(),
  brokerId: z.string().optional(),
  brokerCounter: z.int().optional(),
  order: z.int().default(0),
  /** Digest of a QoS 2 publish that waits for PUBREL. */
  digest: z.string().optional(),
  /** Of the client that published a retained message. */
  clientId: z.string().optional(),
  /** Of a session, or a will. */
  owner: z.string().optional(),
});

export type StoredPacket = z.output<typeof storedPacket>;

/** Null for bytes that this program did not write. */
export function readPacket(bytes: Uint8Array): StoredPacket | null {
  try {
    return storedPacket.safeParse(decodeCbor(bytes)).data ?? null;
  } catch {
    // Not CBOR.
    return null;
  }
}

export function writtenPacket(packet: object): Record<string, unknown> {
  const written: Record<string, unknown> = {};
  for (const field of FIELDS) {
    const value: unknown = Reflect.get(packet, field);
    if (value !== undefined && value !== null)
      written[field] = typeof value === 'string' && field === 'payload' ? Buffer.from(value) : value;
  }
  return written;
}

/** A copy: a slice would keep the whole block that the socket was read into. */
export function ownCopy(payload: Buffer | string): Buffer {
  const copy = Buffer.allocUnsafeSlow(Buffer.byteLength(payload));
  if (typeof payload === 'string') copy.write(payload);
  else payload.copy(copy);
  return copy;
}
