/**
 * One router-like replica: commits its groups from a number on, prints each number once acknowledged, and tries a group
 * that failed again, as a cloud would deliver it again. Arguments: place, writer, records per gateway, first group.
 */
import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { openPostgresLedger } from '../../router/ledger/postgres/postgres.ts';
import { systemClock } from '../../shared/clock.ts';
import { createLogger } from '../../shared/log.ts';
import { groupsOf } from './ledger-feed.ts';
import { optionsOf } from './postgres-engine.ts';

const [place = '', writer = '', perGateway = '', first = ''] = process.argv.slice(2);
const log = createLogger({ level: 'silent', levels: {} });
const ledger = await openPostgresLedger({ ...optionsOf(place), clock: systemClock, log });
const groups = groupsOf(Number(writer), Number(perGateway));
for (let number = Number(first); number < groups.length; ) {
  try {
    await ledger.commit(groups[number] ?? []);
    number += 1;
    writeSync(1, `${number}\n`);
  } catch {
    // The server is away: the group comes again.
    await sleep(100);
  }
}
await ledger.close();
