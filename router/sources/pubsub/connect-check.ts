/**
 * `config check --connect` of a Pub/Sub subscription. Pub/Sub has no peek: the check pulls one message and
 * gives it back at once. Where the subscription has a dead letter policy, that counts as one delivery.
 */
import type { PubSub } from '@google-cloud/pubsub';
import type { Clock } from '../../../shared/clock.ts';
import type { ConnectCheck } from '../../../shared/connect-check/phases.ts';
import { openPubSub } from '../../../shared/gcp/client.ts';
import { gcpFailure, pubSubWay } from '../../../shared/gcp/connect-check.ts';
import type { PubSubOptions } from './options.ts';

/** google.rpc.Code: the vendor's service rejects an empty list of ids as invalid. */
const INVALID_ARGUMENT = 3;

export async function pubSubConnectCheck(options: PubSubOptions, clock: Clock): Promise<ConnectCheck> {
  const way = pubSubWay(options, clock);
  const { client, close } = await openPubSub(options, clock);
  const subscription = client.subscription(options.subscription).name;
  const ask = (method: string, fields: object, limitMs?: number): Promise<object> =>
    request(client, method, { subscription, ...fields }, limitMs);
  return {
    phases: [
      ...way.phases,
      {
        name: 'login',
        option: 'credentials',
        run: async () => {
          await ask('acknowledge', { ackIds: [] }).catch((error: unknown) => {
            if (Reflect.get(Object(error), 'code') !== INVALID_ARGUMENT)
              throw gcpFailure(error, 'subscription');
          });
          return null;
        },
      },
      {
        name: 'read',
        option: 'subscription',
        run: async () => {
          try {
            const pulled = await ask('pull', { maxMessages: 1, returnImmediately: true });
            const [message] = listAt(pulled, 'receivedMessages');
            if (message === undefined) return 'no message waited';
            const ackIds = [Reflect.get(Object(message), 'ackId')];
            await ask('modifyAckDeadline', { ackIds, ackDeadlineSeconds: 0 });
            const delivery = Number(Reflect.get(Object(message), 'deliveryAttempt') ?? 0);
            return `a message was read and given back${delivery > 0 ? `: its delivery ${delivery}` : ''}`;
          } catch (error) {
            throw gcpFailure(error, 'subscription');
          }
        },
      },
    ],
    close: async () => {
      way.close();
      await close();
    },
  };
}

function request(client: PubSub, method: string, reqOpts: object, timeout = 9000): Promise<object> {
  const question = {
    client: 'SubscriberClient' as const,
    method,
    reqOpts,
    gaxOpts: { timeout, retry: null },
  };
  return new Promise((resolve, reject) => {
    client.request<object>(question, (error, answer) => (error ? reject(error) : resolve(answer ?? {})));
  });
}

function listAt(answer: object, name: string): readonly unknown[] {
  const list: unknown = Reflect.get(answer, name);
  return Array.isArray(list) ? list : [];
}
