/** The way back through the IoT rule: from a queue message's body to what the gateway published. */
import type { Message } from '@aws-sdk/client-sqs';
import { z } from 'zod';
import { sendReasonOf } from '../../../shared/envelope/send-reason.ts';
import { providerProperties } from '../properties.ts';
import type { Delivery } from '../source.ts';

/** What the rule's SELECT puts into the body, as far as it is needed here. */
const ruleOutput = z.object({
  /** encode(*, 'base64') */
  data: z.base64(),
  /** topic() */
  topic: z.string(),
  /** clientid() */
  client: z.string().optional(),
  /** principal() */
  principal: z.string().optional(),
  /** get_user_properties('why'): a list, because a user property may come more than once. */
  why: z.array(z.string()).optional().catch(undefined),
});

/** What each field needs in the rule's SELECT, for the dead letter. */
const SELECTED: Readonly<Record<string, string>> = {
  data: "`encode(*, 'base64') AS data`",
  topic: '`topic() AS topic`',
};

/** What clientid() says of a publish over HTTPS (AWS IoT Core developer guide, "Functions"). */
const NO_CLIENT = 'n/a';

/**
 * What a queue message hands over: the bytes that the gateway published, out of the rule's JSON. A body that
 * is not the rule's becomes a dead letter that says what the rule lacks. The gateway is the
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
    return {
      source,
      bytes: Buffer.from(body),
      authenticatedGateway: null,
      deliveryCount,
      properties: () => providerProperties(told),
      problem: { reason: 'rule', detail: lackOf(rule.error) },
    };
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

/**
 * The envelope's bytes out of a dead letter that the rule spoiled, where they can be told: a rule without
 * topic() still has them. Null where they are lost.
 */
export function bytesOfSpoiled(body: Uint8Array): Uint8Array | null {
  const parsed = ruleOutput.pick({ data: true }).safeParse(parseJson(Buffer.from(body).toString()));
  return parsed.success ? Buffer.from(parsed.data.data, 'base64') : null;
}

function lackOf(error: z.ZodError): string {
  const fields = [...new Set(error.issues.map(({ path }) => String(path[0] ?? '')))];
  const lacks = fields.flatMap((field) => SELECTED[field] ?? []);
  const needs = lacks.length > 0 ? `the rule needs ${lacks.join(' and ')}` : 'it is no JSON of a rule';
  return `not what the IoT rule should put out: ${needs}`;
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
