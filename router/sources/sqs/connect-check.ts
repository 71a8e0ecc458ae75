/**
 * `config check --connect` of an SQS queue. SQS has no peek: the check receives one message with a visibility
 * timeout of 0, so that it is there for the router at once. That receive counts as one delivery towards the
 * queue's redrive policy.
 */
import { sdkFailure, trustedCa } from '../../../shared/aws.ts';
import type { Clock } from '../../../shared/clock.ts';
import { type ConnectCheck, PhaseFailure } from '../../../shared/connect-check/phases.ts';
import { wayPhases } from '../../../shared/connect-check/way.ts';
import { errorText } from '../../../shared/log.ts';
import { attributeNumber } from './delivery.ts';
import { queueEndpoint, type SqsOptions } from './options.ts';
import { QueueClient } from './queue-client.ts';

/** A long poll asks all of the queue's servers, a short one only some (Amazon SQS developer guide). */
const WAIT_SECONDS = 1;

export function sqsConnectCheck(options: SqsOptions, clock: Clock): ConnectCheck {
  const { url, option } = queueEndpoint(options);
  const { hostname, port, protocol } = new URL(url);
  const isSecure = protocol === 'https:';
  const way = wayPhases({
    targets: [{ host: hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(port) || (isSecure ? 443 : 80) }],
    option,
    tls: isSecure ? { option: 'ca_file', read: () => trustedCa(options) } : null,
    network: { ...options, isSecure },
    clock,
  });
  const queue = new QueueClient({ options, clock });
  let deliveriesMax: number | null = null;
  return {
    phases: [
      ...way.phases,
      {
        name: 'login',
        option: 'credentials',
        run: async (signal) => {
          const found = await attributes(queue, options, signal);
          deliveriesMax = found?.deliveriesMax ?? null;
          if (found === null) return 'no right to sqs:GetQueueAttributes: the backlog stays unknown';
          return found.waiting === null ? null : `about ${found.waiting} waiting`;
        },
      },
      { name: 'read', option: 'queue_url', run: (signal) => receive(queue, options, signal, deliveriesMax) },
    ],
    close: async () => {
      way.close();
      await queue.close();
    },
  };
}

interface Attributes {
  waiting: number | null;
  /** Of the redrive policy; null without one. */
  deliveriesMax: number | null;
}

/** Null when the credentials are taken, and lack the right to ask. */
async function attributes(
  queue: QueueClient,
  { queue_url: url }: SqsOptions,
  stopping: AbortSignal,
): Promise<Attributes | null> {
  try {
    const { Attributes: found = {} } = await queue.ask(
      (sdk, client, abortSignal) => {
        const question = new sdk.GetQueueAttributesCommand({
          QueueUrl: url,
          AttributeNames: ['ApproximateNumberOfMessages', 'RedrivePolicy'],
        });
        return client.send(question, { abortSignal });
      },
      { stopping },
    );
    const limit = /"maxReceiveCount"\s*:\s*"?(\d+)/.exec(found.RedrivePolicy ?? '')?.[1];
    return {
      waiting: attributeNumber(found.ApproximateNumberOfMessages),
      deliveriesMax: limit === undefined ? null : Number(limit),
    };
  } catch (error) {
    if (isDenied(error)) return null;
    throw failure(error);
  }
}

async function receive(
  queue: QueueClient,
  { queue_url: url }: SqsOptions,
  stopping: AbortSignal,
  deliveriesMax: number | null,
): Promise<string> {
  try {
    const { Messages: messages = [] } = await queue.ask(
      (sdk, client, abortSignal) => {
        const question = new sdk.ReceiveMessageCommand({
          QueueUrl: url,
          MaxNumberOfMessages: 1,
          WaitTimeSeconds: WAIT_SECONDS,
          VisibilityTimeout: 0,
          MessageSystemAttributeNames: ['ApproximateReceiveCount'],
        });
        return client.send(question, { abortSignal });
      },
      { waitMs: WAIT_SECONDS * 1000, stopping },
    );
    const [message] = messages;
    if (message === undefined) return 'no message waited';
    const count = attributeNumber(message.Attributes?.ApproximateReceiveCount) ?? 1;
    return `a message was read and given back: its delivery ${count}${deliveriesMax === null ? '' : ` of ${deliveriesMax}`}`;
  } catch (error) {
    if (!isDenied(error)) throw failure(error);
    const fix = 'allow these credentials sqs:ReceiveMessage and sqs:DeleteMessage on the queue';
    throw new PhaseFailure(sdkFailure(error).text, { option: 'credentials', fix });
  }
}

function isDenied(error: unknown): boolean {
  return /AccessDenied/.test(sdkFailure(error).name);
}

/** With the service's own name of the error, which says whether queue or credentials are meant. */
function failure(error: unknown): Error {
  const { status, name, text } = sdkFailure(error);
  if (status === null) return error instanceof Error ? error : new Error(errorText(error));
  if (/QueueDoesNotExist|NonExistentQueue/.test(name))
    return new PhaseFailure(text, {
      option: 'queue_url',
      fix: 'check the URL: aws sqs get-queue-url --queue-name <name>, in this region and account',
    });
  if (/Signature|Token|Credential|Authentication/.test(name)) {
    return new PhaseFailure(text, { option: 'credentials', fix: 'check keys, their expiry and the clock' });
  }
  return new PhaseFailure(text, {});
}
