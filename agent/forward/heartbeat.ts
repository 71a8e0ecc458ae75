/**
 * A probe: an envelope without records that proves a provider takes a publish, and tells the router that the
 * gateway lives.
 */
import { encodeEnvelope, envelopeProperties } from '../../shared/envelope/codec.ts';
import { type Envelope, type EnvelopeClock, HEARTBEAT_STREAM } from '../../shared/envelope/envelope.ts';
import type { OutboundEnvelope } from '../providers/publisher.ts';

/** While the buffer has not been opened yet; a start counter begins at 1. */
const NO_EPOCH = '0-00000000';

export function heartbeat(gateway: string, epoch: string, clock: EnvelopeClock): OutboundEnvelope {
  const envelope: Envelope = {
    gateway,
    epoch: epoch === '' ? NO_EPOCH : epoch,
    stream: HEARTBEAT_STREAM,
    clock,
    lane: 'live',
    records: [],
    gaps: [],
    sealedAt: null,
  };
  return {
    gateway,
    stream: HEARTBEAT_STREAM,
    bytes: encodeEnvelope(envelope),
    properties: envelopeProperties(envelope),
  };
}
