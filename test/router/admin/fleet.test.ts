/** Pages of a router's answers about its gateways, on a real SQLite ledger (I10). */
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { gatewaysPage, parseFleetQuery, Summary, streamsPage } from '../../../router/admin/fleet.ts';
import type { Ledger } from '../../../router/ledger/ledger.ts';
import { openSqliteLedger } from '../../../router/ledger/sqlite/engine.ts';
import type { GatewayStatus } from '../../../shared/admin-api/status.ts';
import { systemClock } from '../../../shared/clock.ts';
import { createLogger } from '../../../shared/log.ts';
import { testDir } from '../../test-dir.ts';
import { entry, gap, seqs } from '../ledger/envelopes.ts';

const log = createLogger({ level: 'silent', levels: {} });

async function opened(t: Test): Promise<Ledger> {
  const ledger = await openSqliteLedger({ file: join(testDir(t), 'ledger.db'), clock: systemClock, log });
  t.teardown(() => ledger.close());
  return ledger;
}

/** All pages of `limit`, by following `next`. */
async function allPages(ledger: Ledger, limit: number): Promise<GatewayStatus[][]> {
  const pages: GatewayStatus[][] = [];
  for (let after: string | null = null; ; ) {
    const query = parseFleetQuery({ limit: String(limit), ...(after === null ? {} : { after }) });
    if (typeof query === 'string') throw new Error(query);
    const { gateways, next } = await gatewaysPage(ledger, query);
    pages.push(gateways);
    if (next === null) return pages;
    if (pages.length > 50) throw new Error('the pages have no end');
    after = next;
  }
}

t.test('gateways with and without streams, in pages of any size: everything once, in order', async (t) => {
  const ledger = await opened(t);
  t.strictSame(await allPages(ledger, 3), [[]]);
  const streams = { 'gw-1': 0, 'gw-2': 5, 'gw-3': 0, 'gw-4': 0, 'gw-5': 0, 'gw-6': 1, 'gw-7': 3, 'gw-8': 0 };
  for (const [gateway, count] of Object.entries(streams)) {
    await ledger.commit([
      entry({ gateway }, 'azure', 7),
      ...seqs(1, count).map((i) => entry({ gateway, stream: `s${i}`, seqs: [1] }, 'aws', 9)),
    ]);
  }
  const expected = Object.entries(streams).flatMap(([gateway, count]) =>
    count === 0 ? [gateway] : seqs(1, count).map((i) => `${gateway} s${i}`),
  );
  for (const limit of seqs(1, 20)) {
    const pages = await allPages(ledger, limit);
    t.strictSame(
      pages.flatMap((page) => page.flatMap(linesOf)),
      expected,
      `pages of ${limit}`,
    );
    for (const page of pages) {
      t.ok(page.flatMap(({ streams }) => streams).length <= limit, 'at most as many streams as asked for');
      t.ok(page.length > 0 && page.filter(({ streams }) => streams.length === 0).length <= limit);
    }
  }
  const [[first, second] = []] = await allPages(ledger, 100);
  t.match([first?.lastContactMs, second?.lastContactMs], [7, 9], 'the latest contact of any source');
});

function linesOf({ gateway, streams }: GatewayStatus): string[] {
  return streams.length === 0 ? [gateway] : streams.map(({ stream }) => `${gateway} ${stream}`);
}

t.test('the summary is of all streams, and ranges are bounded', async (t) => {
  const ledger = await opened(t);
  const gaps = seqs(1, 150).map((i) => gap(10 * i, 10 * i + 1));
  await ledger.commit([
    entry({ seqs: seqs(1, 3) }),
    entry({ stream: 'holes', seqs: [1], gaps }),
    entry({ gateway: 'gw-2', seqs: [1, 2, 5] }),
  ]);
  const missing = 10 * 150 + 1 - 300 - 1;
  const summary = new Summary(ledger);
  t.strictSame(await summary.of(), { streams: 3, incomplete: 2, missing: missing + 2, givenUp: 300 });
  t.strictSame(await summary.of('gw-2'), { streams: 1, incomplete: 1, missing: 2, givenUp: 0 });
  const { streams, next } = await streamsPage(ledger, { after: null, limit: 1 }, 'gw-1');
  t.match(streams, [{ stream: 'holes', givenUpCount: 300, missingCount: missing }]);
  t.strictSame([streams[0]?.gaps.length, streams[0]?.missing.length], [100, 100]);
  t.type(next, 'string');
});

t.test('what is no page is told, not guessed', (t) => {
  t.strictSame(parseFleetQuery({}), { after: null, limit: 1000 });
  for (const limit of ['0', '-1', '1.5', 'all', '', '10001', '1e3']) {
    t.match(parseFleetQuery({ limit }), /^limit: expected a whole number from 1 to 10000$/, limit);
  }
  const cursor = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const texts = [
    '',
    '!',
    cursor(null),
    cursor(['gw-1', 'e']),
    cursor(['gw-1', 1, 's']),
    cursor({ gateway: 1 }),
  ];
  for (const after of texts) t.match(parseFleetQuery({ after }), /^after: expected the "next"/, after);
  const after = cursor(['gw-1', '1-aa', 's']);
  t.match(parseFleetQuery({ after }), { after: { gateway: 'gw-1', epoch: '1-aa', stream: 's' } });
  t.match(parseFleetQuery({ after, gateway: 'gw-2' }), /^after: /, 'a cursor of another gateway');
  t.end();
});
