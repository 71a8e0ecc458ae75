/**
 * The router's answers about its gateways, one page at a time (I10). `after` is the cursor that the previous
 * page returned as `next`. It is opaque to the client, and a key of the ledger in fact, so it stays valid
 * whatever is committed between two pages.
 *
 * Gateways without streams lie between gateways with streams. Every gateway with a stream has a contact, so a
 * page walks the contacts, and ends when either list ends. The order is the engine's alone; this code never
 * compares keys.
 */

import type { FleetSummary, GatewayStatus, StreamCompletenessStatus } from '../../shared/admin-api/status.ts';
import type { StreamKey } from '../../shared/record.ts';
import { wireJson } from '../../shared/wire-json.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { type PageQuery, surveyByPages } from '../ledger/paging.ts';
import type { StreamCompleteness } from '../ledger/types.ts';

const STREAMS_DEFAULT = 1000;
const STREAMS_MAX = 10_000;
/** Most gaps listed per stream, and most missing ranges. */
const GAPS_MAX = 100;

export interface FleetQuery {
  after: StreamKey | null;
  limit: number;
}

type Query = Readonly<Partial<Record<string, string>>>;

/** The page that `?after=&limit=` asks for, or the text of the error. */
export function parseFleetQuery({
  after,
  gateway,
  limit = String(STREAMS_DEFAULT),
}: Query): FleetQuery | string {
  const count = /^\d{1,9}$/.test(limit) ? Number(limit) : 0;
  if (count < 1 || count > STREAMS_MAX) return `limit: expected a whole number from 1 to ${STREAMS_MAX}`;
  if (after === undefined) return { after: null, limit: count };
  const key = decodeCursor(after);
  if (key === null || (gateway !== undefined && gateway !== key.gateway)) {
    return 'after: expected the "next" of an earlier answer';
  }
  return { after: key, limit: count };
}

/**
 * Totals over all streams, or over one gateway's. Concurrent requests for all streams share one survey, which
 * takes seconds for a large fleet.
 */
export class Summary {
  readonly #ledger: Pick<Ledger, 'survey' | 'completenessPage'>;
  #surveying: Promise<FleetSummary> | null = null;

  constructor(ledger: Pick<Ledger, 'survey' | 'completenessPage'>) {
    this.#ledger = ledger;
  }

  async of(gateway?: string): Promise<FleetSummary> {
    if (gateway !== undefined) {
      const ofGateway = (query: PageQuery) => this.#ledger.completenessPage({ ...query, gateway });
      return (await surveyByPages(new Summing(), ofGateway)).sum;
    }
    this.#surveying ??= this.#ledger
      .survey(() => new Summing())
      .then(({ sum }) => sum)
      .finally(() => {
        this.#surveying = null;
      });
    return this.#surveying;
  }
}

/** At most `limit` streams after the cursor `after`. */
export async function streamsPage(
  ledger: Pick<Ledger, 'completenessPage'>,
  { after, limit }: FleetQuery,
  gateway?: string,
): Promise<{ streams: StreamCompletenessStatus[]; next: string | null }> {
  const of = gateway === undefined ? {} : { gateway };
  const { streams, next } = await ledger.completenessPage({ ...of, after, limit });
  return { streams: streams.map(statusOf), next: next && encodeCursor(next) };
}

/**
 * The gateways after the cursor `after`: at most `limit` streams, and at most as many gateways without
 * streams.
 */
export async function gatewaysPage(
  ledger: Pick<Ledger, 'completenessPage' | 'contacts'>,
  { after, limit }: FleetQuery,
): Promise<{ gateways: GatewayStatus[]; next: string | null }> {
  // The streams are read first: by then each of them has its contact.
  const page = await ledger.completenessPage({ after, limit });
  const heard = lastContacts(await ledger.contacts(after?.gateway ?? '', limit + 2));
  const streams = Map.groupBy(page.streams, ({ gateway }) => gateway);
  // The last gateway of the previous page may have no further streams.
  if (after !== null && !streams.has(after.gateway)) heard.delete(after.gateway);
  const gateways: GatewayStatus[] = [];
  let last: StreamKey | null = null;
  for (const [gateway, lastContactMs] of [...heard].slice(0, limit)) {
    const own = streams.get(gateway) ?? [];
    gateways.push({ gateway, lastContactMs, streams: own.map(statusOf) });
    last = own.at(-1) ?? { gateway, epoch: '', stream: '' };
    if (page.next?.gateway === gateway) return { gateways, next: encodeCursor(page.next) };
  }
  return { gateways, next: heard.size > limit && last !== null ? encodeCursor(last) : null };
}

class Summing {
  readonly sum: FleetSummary = { streams: 0, incomplete: 0, missing: 0, givenUp: 0 };

  add({ missingCount, gaps }: StreamCompleteness): void {
    this.sum.streams += 1;
    this.sum.incomplete += missingCount > 0 ? 1 : 0;
    this.sum.missing += missingCount;
    this.sum.givenUp += idsIn(gaps);
  }
}

function statusOf(stream: StreamCompleteness): StreamCompletenessStatus {
  return { ...stream, gaps: stream.gaps.slice(0, GAPS_MAX), givenUpCount: idsIn(stream.gaps) };
}

function idsIn(ranges: StreamCompleteness['gaps']): number {
  return ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0);
}

/** By gateway, in the engine's order: the latest contact over all sources. */
function lastContacts(contacts: Awaited<ReturnType<Ledger['contacts']>>): Map<string, number> {
  const last = new Map<string, number>();
  for (const { gateway, lastWallMs } of contacts) {
    last.set(gateway, Math.max(lastWallMs, last.get(gateway) ?? lastWallMs));
  }
  return last;
}

/** Three names of at most 64 characters, in base64. */
const CURSOR_CHARS_MAX = 1024;

function encodeCursor({ gateway, epoch, stream }: StreamKey): string {
  return Buffer.from(JSON.stringify([gateway, epoch, stream])).toString('base64url');
}

function decodeCursor(text: string): StreamKey | null {
  const parts = wireJson(Buffer.from(text.slice(0, CURSOR_CHARS_MAX), 'base64url'), CURSOR_CHARS_MAX);
  const [gateway, epoch, stream]: unknown[] = Array.isArray(parts) ? parts : [];
  if (typeof gateway !== 'string' || typeof epoch !== 'string' || typeof stream !== 'string') return null;
  return { gateway, epoch, stream };
}
