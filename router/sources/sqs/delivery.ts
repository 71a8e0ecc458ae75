/** Restores the gateway's publish from the body of a queue message, as the IoT rule wrote it. */
import type { Message } from '@aws-sdk/client-sqs';
import { z } from 'zod';
import { sendReasonOf } from '../../../shared/envelope/send-reason.ts';
import { wireJson } from '../../../shared/wire-json.ts';
import { providerProperties } from '../properties.ts';
import type { Delivery } from '../source.ts';

/** The fields of the rule's SELECT that the router needs. */
const ruleOutput = z.object({
  /** encode(*, 'base64') */
  data: z.base64(),
  /** topic() */
  topic: z.string(),
  /** clientid() */
  client: z.string().optional(),
  /** principal() */
  principal: z.string().optional(),
  /** get_user_properties('why'): a list, because a user property may occur more than once. */
  why: z.unknown().optional(),
});

/** The rule's SELECT for each required field, for the dead letter's text. */
const SELECTED: Readonly<Record<string, string>> = {
  data: "`encode(*, 'base64') AS data`",
  topic: '`topic() AS topic`',
};

/** Of the rule's JSON. SQS itself takes 1 MiB ("Amazon SQS message quotas"). */
const BODY_CHARS_MAX = 4 * 1024 * 1024;

/** The value of clientid() for a publish over HTTPS (AWS IoT Core developer guide, "Functions"). */
const NO_CLIENT = 'n/a';

/**
 * Makes a delivery of a queue message: the bytes that the gateway published, from the rule's JSON. Any other
 * body becomes a dead letter that says which field the rule lacks. The gateway is the topic's second to last
 * level: the gateway's AWS policy decides who may publish to `headgate/<gateway>/…`. Where the rule adds the
 * MQTT client id, both must agree, so that a policy that is too wide lets no client send for another gateway.
 */
export function deliveryOf(source: string, message: Message): Delivery {
  const body = message.Body ?? '';
  const deliveryCount = attributeNumber(message.Attributes?.ApproximateReceiveCount);
  const enqueuedWallMs = attributeNumber(message.Attributes?.SentTimestamp);
  const told = { messageId: message.MessageId, receiveCount: deliveryCount };
  const rule = ruleOutput.safeParse(wireJson(body, BODY_CHARS_MAX));
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
    sentAs: sendReasonOf(Array.isArray(why) ? why[0] : undefined),
    properties: () => providerProperties({ ...told, topic, client, principal }),
  };
}

/** The gateway's name; where topic and client disagree, a text that is no gateway's name. */
function gatewayOf(topic: string, client: string | undefined): string | null {
  const gateway = topic.split('/').at(-2) ?? null;
  if (client === undefined || client === NO_CLIENT || client === gateway) return gateway;
  return `client ${client} on the topic of ${gateway}`;
}

/**
 * The envelope's bytes from a dead letter that a wrong rule caused, where the bytes survived: a rule without
 * topic() still has them. Null where they are lost.
 */
export function bytesOfSpoiled(body: Uint8Array): Uint8Array | null {
  const parsed = ruleOutput.pick({ data: true }).safeParse(wireJson(body, BODY_CHARS_MAX));
  return parsed.success ? Buffer.from(parsed.data.data, 'base64') : null;
}

function lackOf(error: z.ZodError): string {
  const fields = [...new Set(error.issues.map(({ path }) => String(path[0] ?? '')))];
  const lacks = fields.flatMap((field) => SELECTED[field] ?? []);
  const needs = lacks.length > 0 ? `the rule needs ${lacks.join(' and ')}` : 'it is not the JSON of a rule';
  return `not what the IoT rule should put out: ${needs}`;
}

/** The number in a text attribute of a message or a queue; null where it is absent. */
export function attributeNumber(attribute: string | undefined): number | null {
  const value = Number.parseInt(attribute ?? '', 10);
  return Number.isNaN(value) ? null : value;
}
