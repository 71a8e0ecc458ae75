/**
 * An envelope as it leaves for one provider: the same bytes for all of them, and beside them why this one
 * gets it too.
 */
import type { SendReason } from '../../shared/envelope/send-reason.ts';
import type { OutboundEnvelope } from '../providers/publisher.ts';

export function withReason(message: OutboundEnvelope, why: SendReason | null): OutboundEnvelope {
  return why === null ? message : { ...message, properties: { ...message.properties, why } };
}
