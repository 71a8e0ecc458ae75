/**
 * Messages that a loopback cloud refuses for good, beside its faults: those above a limit that is lower than
 * the documented one, and those with a record of a topic. Both are counted, because a gateway pays for them.
 */
import { decodeEnvelope } from '../shared/envelope/codec.ts';

export interface RefusalRule {
  /** Largest payload in bytes that is taken. */
  bytesMax?: number;
  /** An envelope with a record of this topic is invalid. */
  topic?: string;
}

export class PermanentRefusal {
  #rule: RefusalRule = {};
  /** Refused messages by this rule, and their payload bytes. */
  readonly counted = { messages: 0, bytes: 0 };

  set(rule: RefusalRule | null): void {
    this.#rule = rule ?? {};
  }

  /** Why the message is refused; null: it is not. Counts a refusal. */
  verdict(payload: Uint8Array): 'too-large' | 'invalid' | null {
    const verdict = this.#verdict(payload);
    if (verdict === null) return null;
    this.counted.messages += 1;
    this.counted.bytes += payload.length;
    return verdict;
  }

  #verdict(payload: Uint8Array): 'too-large' | 'invalid' | null {
    const { bytesMax = Number.POSITIVE_INFINITY, topic } = this.#rule;
    if (payload.length > bytesMax) return 'too-large';
    if (topic === undefined) return null;
    return decodeEnvelope(payload).records.some((record) => record.topic === topic) ? 'invalid' : null;
  }
}
