/** `headgate deadletter`: works on the ledger itself, so that it works without a running router. */
import { open, unlink } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { LedgerToolConfig } from '../router/config.ts';
import { GatewayKeys } from '../router/gateways/gateway-keys.ts';
import { retryDeadLetters } from '../router/ingest/dead-letter-retry.ts';
import { envelopeLimits } from '../router/ingest/options.ts';
import { Seals } from '../router/ingest/seals.ts';
import { Signatures } from '../router/ingest/signatures.ts';
import type { DeadLetterFilter } from '../router/ledger/maintenance.ts';
import { SealKeys } from '../router/sealing/seal-keys.ts';
import { acceptOf } from '../router/sources/accept.ts';
import { identitiesOf } from '../router/sources/open.ts';
import { systemClock } from '../shared/clock.ts';
import { duration } from '../shared/config/kinds.ts';
import { EXIT } from '../shared/exit-codes.ts';
import { audited, routerAudit, type Worked } from './audited.ts';
import { fail, printJson, printLine } from './output.ts';
import { frameClaims, renderDeadLetter, renderDeadLetters } from './render/dead-letters.ts';
import { tellOfCommits } from './running-router.ts';
import { withMaintenance } from './with-ledger.ts';

interface FilterFlags {
  source?: string;
  reason?: string;
  olderThan?: string;
  json?: boolean;
}

const ENCODINGS = ['raw', 'hex', 'base64'];

export async function list(
  config: LedgerToolConfig,
  flags: FilterFlags & { limit?: string },
): Promise<number> {
  const filter = filterOf([], flags);
  const limit = wholeNumber(flags.limit ?? '');
  if (typeof filter === 'string') return fail(filter, EXIT.usage);
  if (limit === null) return fail(`--limit ${flags.limit}: expected a whole number`, EXIT.usage);
  return withMaintenance(config, async (maintenance) => {
    const heads = await maintenance.deadLetterHeads(filter, limit);
    if (flags.json) {
      printJson(heads);
      return EXIT.ok;
    }
    printLine(renderDeadLetters(heads));
    return EXIT.ok;
  });
}

export async function show(
  config: LedgerToolConfig,
  idText: string,
  { out, encoding = 'hex', json = false }: { out?: string; encoding?: string; json?: boolean },
): Promise<number> {
  const id = wholeNumber(idText);
  if (id === null) return fail(`"${idText}" is no id`, EXIT.usage);
  if (!ENCODINGS.includes(encoding)) {
    return fail(`--encoding ${encoding}: expected one of ${ENCODINGS.join(', ')}`, EXIT.usage);
  }
  return withNewFile(out ?? null, (write) =>
    withMaintenance(config, async (maintenance) => {
      const letter = await maintenance.loadDeadLetter(id);
      if (!letter) return fail(`there is no dead letter ${id}`, EXIT.failed);
      const bytes = Buffer.from(letter.bytes);
      await write(encoding === 'hex' || encoding === 'base64' ? `${bytes.toString(encoding)}\n` : bytes);
      if (json)
        printJson({ ...letter, bytes: bytes.toString('base64'), envelope: frameClaims(letter.bytes) });
      else printLine(renderDeadLetter(letter));
      return EXIT.ok;
    }),
  );
}

/**
 * Opens a new file, readable by its owner alone, for the user who runs the command, before the process
 * becomes the owner of the ledger. A file that the work leaves empty is removed, except where that owner
 * may not. Null: nothing is written.
 */
async function withNewFile(
  path: string | null,
  work: (write: (text: string | Buffer) => Promise<void>) => Promise<number>,
): Promise<number> {
  if (path === null) return work(async () => undefined);
  const full = resolve(path);
  const file = await open(full, 'wx', 0o600);
  let written = false;
  try {
    return await work(async (text) => {
      await file.writeFile(text);
      written = true;
    });
  } finally {
    await file.close();
    if (!written) await unlink(full).catch(() => undefined); // An empty file does no harm.
  }
}

export async function retry(
  config: LedgerToolConfig,
  ids: string[],
  flags: FilterFlags & { as?: string },
): Promise<number> {
  const filter = filterOf(ids, flags);
  if (typeof filter === 'string') return fail(filter, EXIT.usage);
  return changing(config, 'deadletter.retry', { ids, ...flags }, async (maintenance, ledger, log) => {
    const keys =
      config.gateways_file === undefined
        ? null
        : new GatewayKeys(config.gateways_file, { clock: systemClock, log });
    const sealKeys = new SealKeys(config, { clock: systemClock, log });
    await Promise.all([keys?.read(), sealKeys.read()]);
    // The operator who names the sender answers for unsigned letters too.
    const sources = config.sources.map((source) =>
      flags.as === undefined ? source : { ...source, accept: 'any' as const },
    );
    const outcomes = { committed: 0, refused: 0, failed: 0 };
    const gateways = new Set<string>();
    for await (const { id, outcome, reason, gateway } of retryDeadLetters(ledger, maintenance, filter, {
      clock: systemClock,
      log,
      identities: identitiesOf(config.sources),
      signatures: new Signatures({ accept: acceptOf(sources), keys }),
      seals: new Seals({ keys: sealKeys, required: config.sealing.required_streams }),
      as: flags.as,
      limits: envelopeLimits(config.envelopes),
      jumpMax: config.envelopes.max_unverified_jump,
    })) {
      outcomes[outcome] += 1;
      if (gateway !== null) gateways.add(gateway);
      if (!flags.json) printLine(`${id}  ${outcome}${reason === null ? '' : `: ${reason}`}`);
    }
    const untold = gateways.size === 0 ? null : await tellOfCommits(config, gateways);
    if (untold !== null) fail(`receipts for these records go out later: ${untold}`, EXIT.failed);
    if (flags.json) printJson(outcomes);
    else
      printLine(
        `${outcomes.committed} committed, ${outcomes.refused} refused again, ${outcomes.failed} failed`,
      );
    const code = outcomes.refused + outcomes.failed === 0 ? EXIT.ok : EXIT.failed;
    return { code, phase: 'done', detail: outcomes };
  });
}

export async function purge(config: LedgerToolConfig, ids: string[], flags: FilterFlags): Promise<number> {
  const filter = filterOf(ids, flags);
  if (typeof filter === 'string') return fail(filter, EXIT.usage);
  return changing(config, 'deadletter.purge', { ids, ...flags }, async (maintenance) => {
    const removed = await maintenance.removeDeadLetters(filter);
    if (flags.json) printJson({ removed });
    else printLine(`${removed} removed`);
    return { code: EXIT.ok, detail: { removed } };
  });
}

/** Works on the ledger, and notes it in the router's audit log. */
function changing(
  config: LedgerToolConfig,
  action: string,
  { ids, source, reason, olderThan, as }: FilterFlags & { ids: string[]; as?: string },
  work: (...parts: Parameters<Parameters<typeof withMaintenance>[1]>) => Promise<Worked>,
): Promise<number> {
  const detail = { ids: ids.length === 0 ? 'all' : ids.join(' '), source, reason, olderThan, as };
  return withMaintenance(config, async (...parts) =>
    audited(await routerAudit(config), { action, target: null, detail }, () => work(...parts)),
  );
}

/** The filter, or the error in the arguments as text. */
function filterOf(idTexts: string[], { source, reason, olderThan }: FilterFlags): DeadLetterFilter | string {
  const ids = idTexts.map(wholeNumber);
  const wrong = ids.indexOf(null);
  if (wrong >= 0) return `"${idTexts[wrong]}" is no id`;
  const filter: DeadLetterFilter = {
    ...(ids.length > 0 && { ids: ids.filter((id) => id !== null) }),
    ...(source !== undefined && { source }),
    ...(reason !== undefined && { reason }),
  };
  if (olderThan === undefined) return filter;
  const age = duration().safeParse(olderThan);
  if (!age.success) return `--older-than ${olderThan}: expected a duration such as 7d`;
  return { ...filter, beforeWallMs: systemClock.wallMs() - age.data };
}

function wholeNumber(text: string): number | null {
  return /^\d{1,15}$/.test(text) ? Number(text) : null;
}
