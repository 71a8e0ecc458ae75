/**
 * A probe: an envelope without records. It proves that a provider accepts publishes, and tells the router
 * that the gateway is alive.
 */
import { encodeEnvelope, envelopeProperties } from '../../shared/envelope/codec.ts';
import { type Envelope, type EnvelopeClock, HEARTBEAT_STREAM } from '../../shared/envelope/envelope.ts';
import { type EnvelopeSigner, versionOf } from '../../shared/envelope/frame.ts';
import type { OutboundEnvelope } from '../providers/publisher.ts';

/** The epoch before the buffer was opened; real start counters begin at 1. */
const NO_EPOCH = '0-00000000';

export function heartbeat(
  gateway: string,
  epoch: string,
  clock: EnvelopeClock,
  signer: EnvelopeSigner | null,
): OutboundEnvelope {
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
  const bytes = encodeEnvelope(envelope, signer);
  return {
    gateway,
    stream: HEARTBEAT_STREAM,
    bytes,
    properties: envelopeProperties(envelope, versionOf(bytes)),
  };
}
