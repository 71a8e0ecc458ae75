/** The way back through the IoT rule: from a queue message's body to what the gateway published. */
import type { Message } from '@aws-sdk/client-sqs';
import { z } from 'zod';
import type { Delivery } from '../source.ts';

/** What the rule's SELECT puts into the body, as far as it is needed here. */
const ruleOutput = z.object({ data: z.string(), topic: z.string() });

/**
 * What a queue message hands over: the bytes that the gateway published, out of the rule's JSON. A body that is not the
 * rule's is handed over as it is: the router dead-letters what does not decode. The gateway is
 * the topic's second to last level: who may publish to `headgate/<gateway>/…` is decided by the gateway's AWS policy.
 */
export function deliveryOf(source: string, message: Message): Delivery {
  const body = message.Body ?? '';
  const count = Number.parseInt(message.Attributes?.ApproximateReceiveCount ?? '', 10);
  const deliveryCount = Number.isNaN(count) ? null : count;
  const rule = ruleOutput.safeParse(parseJson(body));
  if (!rule.success) return { source, bytes: Buffer.from(body), authenticatedGateway: null, deliveryCount };
  const { data, topic } = rule.data;
  const authenticatedGateway = topic.split('/').at(-2) ?? null;
  return { source, bytes: Buffer.from(data, 'base64'), authenticatedGateway, deliveryCount };
}

/** Undefined when it is not JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
