/**
 * The JetStream engine for the ledger's contract: a place is a name on the cluster that the suite started.
 */
import { type JetStreamLedgerOptions, openJetStreamLedger } from '../../router/ledger/jetstream/engine.ts';
import { systemClock } from '../../shared/clock.ts';
import { createLogger } from '../../shared/log.ts';
import type { LedgerEngine } from '../router/ledger/engine.ts';
import { LIMITS } from '../router/ledger/limits.ts';

/** Where the suite tells the servers to this module, also in the processes it kills. */
export const SERVERS_VARIABLE = 'HEADGATE_TEST_NATS_SERVERS';

const { deadLetters, conflicts } = LIMITS;
const EVIDENCE = {
  deadLetters: { ...deadLetters, messagesMax: deadLetters.rowsMax },
  conflicts: { ...conflicts, messagesMax: conflicts.rowsMax },
};

/** Small limits, so that short histories meet snapshots, evicted items and records that are not in memory. */
export function optionsOf(place: string): JetStreamLedgerOptions {
  const servers = (process.env[SERVERS_VARIABLE] ?? '').split(' ');
  // Three servers take most of a second to agree on a new stream, and the model needs a new ledger for each
  // history.
  const replicas = place.startsWith('model-') ? 1 : 3;
  return {
    servers,
    name: place,
    replicas,
    timeoutMs: 20_000,
    clock: systemClock,
    log: createLogger({ level: 'silent', levels: {} }),
    limits: { itemsCached: 2, snapshotCommits: 3, recordBytesCached: 2000, ...EVIDENCE },
  };
}

export const engine: LedgerEngine = {
  name: 'jetstream',
  open: (place, options) => openJetStreamLedger({ ...optionsOf(place), ...options }),
  place: (_folder, name) => name,
};
