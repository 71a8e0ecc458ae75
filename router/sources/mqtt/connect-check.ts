/**
 * `config check --connect` of an MQTT broker. Messages wait in the session of `client_id`, which belongs to
 * the running router: a second connection under that id would end the router's. So the check logs in under
 * another id, with a session that ends with it, and asks only whether it may subscribe.
 */
import type { MqttClient } from 'mqtt';
import type { Clock } from '../../../shared/clock.ts';
import { brokerWay } from '../../../shared/connect-check/mqtt.ts';
import type { ConnectCheck } from '../../../shared/connect-check/phases.ts';
import { PhaseFailure } from '../../../shared/connect-check/phases.ts';
import type { Entropy } from '../../../shared/entropy.ts';
import { mqttClientOptions, mqttOrigin } from '../../../shared/mqtt.ts';
import type { MqttSourceOptions } from './options.ts';

/** MQTT 3.1.1, 3.9.3: the return code of a refused subscription. */
const REFUSED = 128;

export function mqttConnectCheck(
  options: MqttSourceOptions,
  { clock, entropy }: { clock: Clock; entropy: Entropy },
): ConnectCheck {
  const way = brokerWay({ url: options.url, network: options, tls: options, clock });
  const clientId = `${options.client_id}-check-${Buffer.from(entropy.bytes(4)).toString('hex')}`;
  let client: MqttClient | null = null;
  return {
    phases: [
      ...way.phases,
      {
        name: 'login',
        option: 'username',
        run: async () => {
          const { connect } = await import('mqtt');
          const settings = await mqttClientOptions(options, clock);
          const made = connect({ ...settings, ...mqttOrigin(options), clean: true, clientId });
          client = made;
          await new Promise<void>((resolve, reject) => {
            made.once('connect', () => resolve());
            made.on('error', reject);
            made.once('close', () => reject(new Error('the broker ended the connection')));
          });
          return `as ${clientId}`;
        },
      },
      {
        name: 'read',
        option: 'topic_prefix',
        run: async () => {
          const filter = `${options.topic_prefix}/+/+`;
          const granted = (await client?.subscribeAsync(filter, { qos: 1 })) ?? [];
          if (granted.some(({ qos }) => qos === REFUSED)) {
            const fix = `allow this login to subscribe to ${filter}`;
            throw new PhaseFailure('the broker refused the subscription', { fix });
          }
          return `what waits for ${options.client_id} was not touched`;
        },
      },
    ],
    close: async () => {
      way.close();
      await client?.endAsync(true);
    },
  };
}
