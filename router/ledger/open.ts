/** The ledger that router.yaml names. */
import { join } from 'node:path';
import type { Clock } from '../../shared/clock.ts';
import type { Logger } from '../../shared/log.ts';
import type { RouterConfig } from '../config.ts';
import { openJetStreamLedger } from './jetstream/jetstream.ts';
import type { Ledger } from './ledger.ts';
import { openPostgresLedger } from './postgres/postgres.ts';
import { openSqliteLedger } from './sqlite.ts';

/** Rejects when it cannot be opened; the folder `data_dir` must exist. */
export async function openLedger(
  { ledger, data_dir }: Pick<RouterConfig, 'ledger' | 'data_dir'>,
  deps: { clock: Clock; log: Logger },
): Promise<Ledger> {
  switch (ledger.type) {
    case 'sqlite':
      return openSqliteLedger({ file: join(data_dir, 'ledger.db'), ...deps });
    case 'postgres': {
      const { url, schema, connections_max: connectionsMax, timeout: timeoutMs } = ledger;
      return openPostgresLedger({ url, schema, connectionsMax, timeoutMs, ...deps });
    }
    case 'jetstream': {
      const { timeout: timeoutMs, ...options } = ledger;
      return openJetStreamLedger({ ...options, timeoutMs, ...deps });
    }
  }
}
