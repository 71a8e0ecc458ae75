/** The way back through the IoT rule: from a queue message's body to what the gateway published. */
import type { Message } from '@aws-sdk/client-sqs';
import { z } from 'zod';
import { sendReasonOf } from '../../../shared/envelope/send-reason.ts';
import { providerProperties } from '../properties.ts';
import type { Delivery } from '../source.ts';

/** What the rule's SELECT puts into the body, as far as it is needed here. */
const ruleOutput = z.object({
  data: z.string(),
  topic: z.string(),
  /** clientid() */
  client: z.string().optional(),
  /** principal() */
  principal: z.string().optional(),
  /** get_user_properties('why'): a list, because a user property may come more than once. */
  why: z.array(z.string()).optional().catch(undefined),
});

/** What clientid() says of a publish over HTTPS (AWS IoT Core developer guide, "Functions"). */
const NO_CLIENT = 'n/a';

/**
 * What a queue message hands over: the bytes that the gateway published, out of the rule's JSON. A body that
 * is not the rule's is handed over as it is: the router dead-letters what does not decode. The gateway is the
 * topic's second to last level: who may publish to `headgate/<gateway>/…` is decided by the gateway's AWS
 * policy. Where the rule gives the MQTT client id too, both must agree, so that a policy that is too wide
 * lets nobody in.
 */
export function deliveryOf(source: string, message: Message): Delivery {
  const body = message.Body ?? '';
  const deliveryCount = attributeNumber(message.Attributes?.ApproximateReceiveCount);
  const enqueuedWallMs = attributeNumber(message.Attributes?.SentTimestamp);
  const told = { messageId: message.MessageId, receiveCount: deliveryCount };
  const rule = ruleOutput.safeParse(parseJson(body));
  if (!rule.success) {
    const properties = (): Record<string, string> => providerProperties(told);
    return { source, bytes: Buffer.from(body), authenticatedGateway: null, deliveryCount, properties };
  }
  const { data, topic, client, principal, why } = rule.data;
  return {
    source,
    bytes: Buffer.from(data, 'base64'),
    authenticatedGateway: gatewayOf(topic, client),
    deliveryCount,
    enqueuedWallMs,
    sentAs: sendReasonOf(why?.[0]),
    properties: () => providerProperties({ ...told, topic, client, principal }),
  };
}

/** A text that is no gateway's name where the two disagree. */
function gatewayOf(topic: string, client: string | undefined): string | null {
  const gateway = topic.split('/').at(-2) ?? null;
  if (client === undefined || client === NO_CLIENT || client === gateway) return gateway;
  return `client ${client} on the topic of ${gateway}`;
}

/** Of an attribute of a message or a queue, which is text; null where it is absent. */
export function attributeNumber(attribute: string | undefined): number | null {
  const value = Number.parseInt(attribute ?? '', 10);
  return Number.isNaN(value) ? null : value;
}

/** Undefined when it is not JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
