/** One life of a broker whose sessions are on a real store. */
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt';
import { Intake, type Publish } from '../../../../agent/broker/intake.ts';
import type { SessionLimits, Sessions } from '../../../../agent/broker/persistence/sessions.ts';
import type { Store } from '../../../../agent/store/store.ts';
import { type Clock, systemClock } from '../../../../shared/clock.ts';
import { storeOn } from '../../store/fixture.ts';
import { SILENT, sessionsOn, startBroker } from '../fixture.ts';

export interface Life {
  store: Store;
  port: number;
  sessions: Sessions;
  taken: Publish[];
  connect(clientId: string, options?: IClientOptions): Promise<MqttClient>;
  /** Ends the broker without a shutdown: the file stays as it is. */
  stop(): Promise<void>;
}

export async function life(
  file: string,
  limits: Partial<SessionLimits> = {},
  clock: Clock = systemClock,
): Promise<Life> {
  const { store } = storeOn(file);
  await store.start();
  const sessions = sessionsOn(store, limits);
  const streams = [{ name: 'telemetry', filters: ['#'] }];
  const intake = new Intake({ store, streams, clock: systemClock, log: SILENT });
  const taken: Publish[] = [];
  const { broker, port } = await startBroker(
    (publish, settled) =>
      intake.take(publish, (error) => {
        if (!error) taken.push(publish);
        settled(error);
      }),
    { sessions, clock },
  );
  return {
    store,
    port,
    sessions,
    taken,
    connect: (clientId, options = {}) =>
      connectAsync(`mqtt://127.0.0.1:${port}`, {
        clientId,
        clean: false,
        protocolVersion: 4,
        reconnectPeriod: 0,
        ...options,
      }),
    async stop() {
      await broker.stop();
      await store.stop();
    },
  };
}

/** Everything that arrives at a client from now on. */
export function inbox(client: MqttClient): string[] {
  const arrived: string[] = [];
  client.on('message', (topic, payload, { qos, retain }) => {
    arrived.push(`${topic} ${payload} ${qos}${retain ? ' retained' : ''}`);
  });
  return arrived;
}
