/** The running router of a router.yaml, for commands that maintain its ledger beside it. */
import { resolve } from 'node:path';
import type { LedgerToolConfig } from '../router/config.ts';
import type { MaintenanceAnswer } from '../shared/admin-api/maintenance.ts';
import { ask, isKind } from './http.ts';

const PATH = '/v1/maintenance';
const WHO = 'the router';

type Place = Pick<LedgerToolConfig, 'admin' | 'data_dir'>;

type Found = { ok: true; base: string; answer: MaintenanceAnswer } | { ok: false; message: string };

/** The router that runs with this `data_dir`, or why none is found. A router of another folder is none. */
export async function runningRouter({ admin, data_dir }: Place): Promise<Found> {
  const base = baseOf(admin);
  const asked = await ask({ base, path: PATH, who: WHO });
  if (!asked.ok) return asked;
  if (!isKind(asked.body, 'maintenance'))
    return { ok: false, message: `what answers at ${base} is not a router of headgate` };
  const answer = asked.body as MaintenanceAnswer;
  if (answer.dataDir === resolve(data_dir)) return { ok: true, base, answer };
  const message = `the router at ${base} works in ${answer.dataDir}, not in ${data_dir}`;
  return { ok: false, message };
}

/**
 * Tells the running router that a command has committed records of these gateways: feeds and receipts go out
 * at once. Without a running router there is nothing to tell. Returns the error text of a failed notice.
 */
export async function tellOfCommits(place: Place, gateways: Iterable<string>): Promise<string | null> {
  const found = await runningRouter(place);
  if (!found.ok) return null;
  for (const gateway of gateways) {
    const told = await ask({ base: found.base, path: PATH, method: 'PUT', body: { gateway }, who: WHO });
    if (!told.ok) return told.message;
  }
  return null;
}

function baseOf({ host, port }: LedgerToolConfig['admin']): string {
  const reached = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
  return `http://${reached.includes(':') ? `[${reached}]` : reached}:${port}`;
}
