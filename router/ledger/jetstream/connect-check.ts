/** `config check --connect` of a ledger on JetStream: as a tool would open it, and nothing is made. */
import type { Clock } from '../../../shared/clock.ts';
import { type ConnectCheck, PhaseFailure } from '../../../shared/connect-check/phases.ts';
import { wayPhases } from '../../../shared/connect-check/way.ts';
import type { SparseLog } from '../../../shared/sparse-log.ts';
import type { JetStreamOptions } from './access.ts';
import { Connection } from './connection.ts';
import { Names } from './names.ts';
import { LedgerParts } from './parts.ts';

const PORT = 4222;

export function jetStreamConnectCheck(
  options: JetStreamOptions,
  { clock, log }: { clock: Clock; log: SparseLog },
): ConnectCheck {
  const way = wayPhases({
    targets: options.servers.map((server) => {
      const { hostname, port } = new URL(server);
      return { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(port) || PORT };
    }),
    option: 'servers',
    tls: null,
    network: null,
    clock,
  });
  let connection: Connection | null = null;
  return {
    phases: [
      ...way.phases,
      {
        name: 'login',
        option: 'servers',
        run: async () => {
          connection = await Connection.open(options, clock, log);
          return null;
        },
      },
      {
        name: 'open',
        option: 'name',
        run: async () => {
          if (!connection) throw new Error('not connected');
          const parts = new LedgerParts(connection, new Names(options.name), clock);
          if (await parts.areAbsent()) return 'no ledger yet: the router will make it';
          await parts.open('tool', options.replicas).catch((error: unknown) => {
            const text = error instanceof Error ? error.message : String(error);
            throw new PhaseFailure(text, { fix: 'see "The ledger lost a part" in docs/troubleshooting.md' });
          });
          return 'the ledger is whole';
        },
      },
    ],
    close: async () => {
      way.close();
      await connection?.close();
    },
  };
}
