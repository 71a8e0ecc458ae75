/** Changes of one stream of a JetStream ledger. */
import type { JetStreamManager, StoredMsg } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';

/** Done to the streams of the ledger `name`. */
export type StreamChange = (name: string) => Promise<unknown>;

export interface StreamChanges {
  deleted: (part: string) => StreamChange;
  purged: (part: string) => StreamChange;
  /** Made anew, with its id. */
  emptied: (part: string) => StreamChange;
  /** Made anew, with the id of another ledger. */
  foreign: (part: string) => StreamChange;
  /** Put back as it was `lost` messages ago, as a backup of that time would have it. */
  older: (part: string, lost: number) => StreamChange;
}

export function streamChanges(manager: JetStreamManager, nc: NatsConnection): StreamChanges {
  const madeAnew = async (stream: string, description?: string): Promise<void> => {
    const { config } = await manager.streams.info(stream);
    await manager.streams.delete(stream);
    await manager.streams.add(description === undefined ? config : { ...config, description });
  };
  const older = async (stream: string, lost: number): Promise<void> => {
    const { state } = await manager.streams.info(stream);
    const kept: StoredMsg[] = [];
    for (let seq = state.first_seq; seq <= state.last_seq - lost; seq++) {
      const message = await manager.streams.getMessage(stream, { seq });
      if (message) kept.push(message);
    }
    await madeAnew(stream);
    for (const { subject, data } of kept) await nc.request(subject, data, { timeout: 5000 });
  };
  return {
    deleted: (part) => (name) => manager.streams.delete(`${name}-${part}`),
    purged: (part) => (name) => manager.streams.purge(`${name}-${part}`),
    emptied: (part) => (name) => madeAnew(`${name}-${part}`),
    foreign: (part) => (name) => madeAnew(`${name}-${part}`, 'Headgate ledger 1 another'),
    older: (part, lost) => (name) => older(`${name}-${part}`, lost),
  };
}
