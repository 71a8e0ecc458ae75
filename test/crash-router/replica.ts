/**
 * One replica of the router, without its clouds: the real ingest on the real ledger, three sources' messages
 * on stdin, what became of each on stdout. Argument: `ledger` of the router's configuration, as it was read,
 * in JSON. Ends with its stdin, or by SIGKILL.
 */

import type { RouterConfig } from '../../router/config.ts';
import { Ingest } from '../../router/ingest/ingest.ts';
import { openLedger } from '../../router/ledger/open.ts';
import { systemClock } from '../../shared/clock.ts';
import { createLogger, errorText } from '../../shared/log.ts';
import { SOURCES } from './feed.ts';
import { encodeFrame, frameReader } from './frames.ts';
import { configOf } from './ledger-config.ts';

const ledgerConfig: RouterConfig['ledger'] = JSON.parse(process.argv[2] ?? '');
const log = createLogger({ level: 'error', levels: {} }, process.stderr);
const deps = { clock: systemClock, log, role: 'router' } as const;
const ledger = await openLedger(configOf(ledgerConfig), deps).catch((error: unknown) => {
  // The server is away for a moment: the run starts this replica again.
  console.error(`a replica could not open the ledger: ${errorText(error)}`);
  process.exit(1);
});
const ingest = new Ingest({ ledger, ...deps });
const none = new Uint8Array();
const inHand = new Set<Promise<void>>();
const read = frameReader(({ id, tag, deliveryCount, bytes }) => {
  const delivery = { source: SOURCES[tag] ?? '', bytes, authenticatedGateway: null, deliveryCount };
  const handling = ingest.handler(delivery).then((settlement) => {
    process.stdout.write(
      encodeFrame({ id, tag: settlement === 'settle' ? 1 : 0, deliveryCount: 0, bytes: none }),
    );
    inHand.delete(handling);
  });
  inHand.add(handling);
});
for await (const piece of process.stdin) read(piece);
await Promise.all(inHand);
await ledger.close();
