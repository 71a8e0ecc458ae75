/** `headgate ledger erase`, `erasures` and `where`: work on the ledger itself, beside a running router. */
import { userInfo } from 'node:os';
import type { LedgerToolConfig } from '../router/config.ts';
import { acceptLedger } from '../router/ledger/open.ts';
import { systemClock } from '../shared/clock.ts';
import { EXIT } from '../shared/exit-codes.ts';
import { createLogger } from '../shared/log.ts';
import { audited, routerAudit } from './audited.ts';
import { becomeOwnerByPath } from './folder-owner.ts';
import { fail, printJson, printLine } from './output.ts';
import { withProgress } from './progress.ts';
import { renderErasures, renderWhereabouts } from './render/ledger.ts';
import { runningRouter } from './running-router.ts';
import { terminal } from './terminal.ts';
import { ledgerText, withMaintenance } from './with-ledger.ts';

const ERASURES_SHOWN = 1000;

export async function erase(
  config: LedgerToolConfig,
  { device, gateway, by, json = false }: { device: string; gateway?: string; by?: string; json?: boolean },
): Promise<number> {
  const text = `erasing every record of device "${device}" in ${ledgerText(config)}`;
  const actor = by ?? userInfo().username;
  const named = { action: 'ledger.erase', target: device, detail: { gateway, by: actor } };
  // The line after the work.
  let tell: () => unknown = () => undefined;
  // The ledger may take its time to open: the line comes first.
  const code = await withProgress(text, { json }, () =>
    withMaintenance(config, async (maintenance) =>
      audited(await routerAudit(config), named, async () => {
        const erasure = await maintenance.erase({ device, gateway: gateway ?? null }, actor);
        const { records, versions, deadLetters } = erasure;
        const detail = { records, versions, deadLetters };
        const isNone = records + versions + deadLetters === 0;
        const of = gateway === undefined ? '' : ` of gateway "${gateway}"`;
        tell = () => {
          if (json) printJson(erasure);
          if (isNone)
            fail(`the ledger has no record of device "${device}"${of}; the request is recorded`, EXIT.failed);
          else if (!json)
            printLine(
              `erased: ${records} records, ${versions} versions kept aside, ${deadLetters} dead letters`,
            );
        };
        return isNone ? { code: EXIT.failed, phase: 'done', detail } : { code: EXIT.ok, detail };
      }),
    ),
  );
  tell();
  return code;
}

/**
 * The next start of the router takes the ledger, and those of its parts that are missing or older, as it
 * finds them. A running router would note its own ledger again, so there must be none.
 */
export async function accept(config: LedgerToolConfig): Promise<number> {
  const running = await runningRouter(config);
  if (running.ok) {
    const message = `a router runs with ${config.data_dir} (admin server ${running.base}): stop it first, or it notes its own ledger again`;
    return fail(message, EXIT.failed);
  }
  becomeOwnerByPath(config.data_dir);
  return audited(await routerAudit(config), { action: 'ledger.accept', target: null }, async () => {
    const log = createLogger(config.log, terminal().stderr);
    const { wasKnown, parts } = await acceptLedger(config, { clock: systemClock, log });
    if (!wasKnown && parts.length === 0) {
      const message = `${config.data_dir} knows of no ledger: a router takes the one that it finds`;
      return { code: fail(message, EXIT.failed) };
    }
    for (const part of parts) printLine(part);
    printLine('the next start of the router takes the ledger as it is, and makes one where there is none');
    return { code: EXIT.ok };
  });
}

export async function erasures(config: LedgerToolConfig, json: boolean): Promise<number> {
  return withMaintenance(config, async (maintenance) => {
    const found = await maintenance.erasures(ERASURES_SHOWN);
    if (json) printJson(found);
    else printLine(renderErasures(found));
    return EXIT.ok;
  });
}

/** `id`: gateway/epoch/stream/seq. */
export async function where(config: LedgerToolConfig, id: string, json: boolean): Promise<number> {
  const [, gateway, epoch, stream, seq] = /^([^/]+)\/([^/]+)\/([^/]+)\/(\d{1,15})$/.exec(id) ?? [];
  if (gateway === undefined || epoch === undefined || stream === undefined) {
    return fail(`"${id}": expected gateway/epoch/stream/seq`, EXIT.usage);
  }
  return withMaintenance(config, async (maintenance) => {
    const found = await maintenance.where({ gateway, epoch, stream, seq: Number(seq) });
    if (json) printJson(found);
    else printLine(renderWhereabouts(found, config.sources));
    return EXIT.ok;
  });
}
