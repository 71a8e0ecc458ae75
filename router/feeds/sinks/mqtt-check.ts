/**
 * `config check --connect` of a feed to an MQTT broker, under a client id of its own: the broker would end
 * the connection of the running feed. MQTT 3.1.1 tells the right to publish only to a publish.
 */

import { brokerWay } from '../../../shared/connect-check/mqtt.ts';
import type { ConnectCheck, ConnectDeps } from '../../../shared/connect-check/phases.ts';
import { MqttSink } from './mqtt.ts';
import type { MqttFeedOptions } from './mqtt-options.ts';

export function mqttFeedConnectCheck(
  name: string,
  options: MqttFeedOptions,
  { clock, entropy }: ConnectDeps,
): ConnectCheck {
  const way = brokerWay({ url: options.url, network: null, tls: options, clock });
  const own = options.client_id ?? `headgate-feed-${name}`;
  const clientId = `${own}-check-${Buffer.from(entropy.bytes(4)).toString('hex')}`;
  const sink = new MqttSink(name, { ...options, client_id: clientId }, clock);
  return {
    phases: [
      ...way.phases,
      {
        name: 'login',
        option: 'username',
        run: async () => {
          await sink.check();
          return `as ${clientId}; only a record would show whether it may publish`;
        },
      },
    ],
    close: async () => {
      way.close();
      await sink.close();
    },
  };
}
