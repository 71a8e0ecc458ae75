/** `headgate ledger erase`, `erasures`: work on the ledger itself, beside a running router. */
import { userInfo } from 'node:os';
import type { RouterConfig } from '../router/config.ts';
import type { Erasure } from '../router/ledger/erasure.ts';
import { isoTime } from '../shared/clock.ts';
import { EXIT } from '../shared/exit-codes.ts';
import { table } from './format.ts';
import { printJson, printLine } from './output.ts';
import { withUpkeep } from './with-ledger.ts';

const ERASURES_SHOWN = 1000;

export async function erase(
  config: RouterConfig,
  { device, gateway, by, json = false }: { device: string; gateway?: string; by?: string; json?: boolean },
): Promise<number> {
  return withUpkeep(config, async (upkeep) => {
    const erasure = await upkeep.erase({ device, gateway: gateway ?? null }, by ?? userInfo().username);
    const { records, versions, deadLetters } = erasure;
    if (json) printJson(erasure);
    else
      printLine(`erased: ${records} records, ${versions} versions kept aside, ${deadLetters} dead letters`);
    return EXIT.ok;
  });
}

export async function erasures(config: RouterConfig, json: boolean): Promise<number> {
  return withUpkeep(config, async (upkeep) => {
    const found = await upkeep.erasures(ERASURES_SHOWN);
    if (json) printJson(found);
    else printLine(renderErasures(found));
    return EXIT.ok;
  });
}

function renderErasures(found: readonly Erasure[]): string {
  return table(
    ['STARTED', 'FINISHED', 'BY', 'GATEWAY', 'DEVICE', 'RECORDS', 'VERSIONS', 'DEAD LETTERS'],
    found.map((erasure) => [
      isoTime(erasure.startedWallMs),
      erasure.finishedWallMs === null ? 'not finished' : isoTime(erasure.finishedWallMs),
      erasure.actor,
      erasure.gateway ?? 'all',
      erasure.device,
      String(erasure.records),
      String(erasure.versions),
      String(erasure.deadLetters),
    ]),
  );
}
