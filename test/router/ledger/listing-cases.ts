/** Pages of streams and of gateways, and the survey: everything once, a bounded part at a time (I10). */
import type { Test } from 'tap';
import type { Ledger } from '../../../router/ledger/ledger.ts';
import type { PageQuery } from '../../../router/ledger/paging.ts';
import type { StreamKey } from '../../../shared/record.ts';
import type { LedgerEngine } from './engine.ts';
import { entry, gap, seqs } from './envelopes.ts';
import { fresh } from './fresh.ts';

const GATEWAYS = ['gw-a', 'gw-b', 'gw-c', 'gw-d'];
const EPOCHS = ['1-aa', '10-bb', '2-cc'];

export function listingCases(t: Test, engine: LedgerEngine): void {
  t.test('pages of any size give every stream once, each in its place, as completeness has it', async (t) => {
    const { ledger } = await fresh(t, engine);
    t.strictSame(await ledger.completenessPage({ after: null, limit: 5 }), { streams: [], next: null });
    await feed(ledger);
    const all = await ledger.completeness();
    const expected = [...all].sort((a, b) => byText(nameOf(a), nameOf(b)));
    t.equal(expected.length, 24);
    for (const limit of [1, 5, 24, 100]) {
      t.strictSame((await pages(ledger, { limit })).flat(), expected, `pages of ${limit}`);
    }
    const sizes = (await pages(ledger, { limit: 5 })).map(({ length }) => length);
    t.strictSame(sizes, [5, 5, 5, 5, 4]);
    t.strictSame((await pages(ledger, { limit: 24 })).length, 1, 'a full last page says that it is the last');
    const own = expected.filter(({ gateway }) => gateway === 'gw-b');
    t.strictSame((await pages(ledger, { gateway: 'gw-b', limit: 4 })).flat(), own, 'of one gateway');
    t.strictSame((await pages(ledger, { gateway: 'nobody', limit: 4 })).flat(), []);
  });

  t.test('what commits between two pages hides and repeats nothing', async (t) => {
    const { ledger } = await fresh(t, engine);
    await feed(ledger);
    const first = await ledger.completenessPage({ after: null, limit: 6 });
    await ledger.commit([
      entry({ gateway: 'gw-0', seqs: [1] }),
      entry({ gateway: 'gw-a', seqs: [9] }),
      entry({ gateway: 'gw-e', seqs: [1] }),
    ]);
    const rest = await pages(ledger, { after: first.next, limit: 6 });
    const names = [first.streams, ...rest].flat().map(nameOf);
    t.equal(names.length, 25);
    t.equal(new Set(names).size, 25);
    t.match(names.at(-1), /gw-e/, 'one that is new and behind is there');
    t.notOk(
      names.some((name) => name.includes('gw-0')),
      'one before was passed',
    );
  });

  t.test('a survey shows every stream once, also of a ledger just opened', async (t) => {
    const { ledger, place } = await fresh(t, engine);
    await feed(ledger);
    const expected = (await ledger.completeness()).map((one) => JSON.stringify(one)).sort(byText);
    t.strictSame(await surveyed(ledger), expected);
    await ledger.close();
    const again = await engine.open(place);
    t.teardown(() => again.close());
    t.strictSame(await surveyed(again), expected);
  });

  t.test('contacts of some gateways at a time, each with all its sources', async (t) => {
    const { ledger } = await fresh(t, engine);
    await ledger.commit(
      GATEWAYS.flatMap((gateway, i) => [entry({ gateway }, 'aws', i), entry({ gateway }, 'gcp', 10 + i)]),
    );
    const gateways = async (from: string, limit: number): Promise<string[]> =>
      (await ledger.contacts(from, limit)).map(({ gateway, source }) => `${gateway} ${source}`).sort(byText);
    t.strictSame(await gateways('', 2), ['gw-a aws', 'gw-a gcp', 'gw-b aws', 'gw-b gcp']);
    t.strictSame(await gateways('gw-b', 1), ['gw-b aws', 'gw-b gcp'], 'from the name itself on');
    t.strictSame(await gateways('gw-c', 9), ['gw-c aws', 'gw-c gcp', 'gw-d aws', 'gw-d gcp']);
  });
}

/**
 * Two streams in each epoch of each gateway, made in another order than that of their names; some are written
 * twice.
 */
async function feed(ledger: Ledger): Promise<void> {
  for (const [i, gateway] of GATEWAYS.toReversed().entries()) {
    await ledger.commit(
      EPOCHS.toReversed().flatMap((epoch) => [
        entry({ gateway, epoch, stream: 'b', seqs: seqs(2, 3 + i), gaps: [gap(20, 21)] }),
        entry({ gateway, epoch, stream: 'a', seqs: [1] }),
      ]),
    );
    await ledger.commit([entry({ gateway, epoch: '1-aa', stream: 'a', seqs: [1, 2] })]);
  }
}

async function pages(ledger: Ledger, query: Partial<PageQuery> & { limit: number }) {
  const found = [];
  for (let after = query.after ?? null; ; ) {
    const { streams, next } = await ledger.completenessPage({ ...query, after });
    found.push(streams);
    if (next === null) return found;
    if (found.length > 50) throw new Error('the pages have no end');
    after = next;
  }
}

async function surveyed(ledger: Ledger): Promise<string[]> {
  const { shown } = await ledger.survey(() => {
    const shown: string[] = [];
    return { shown, add: (stream: unknown) => void shown.push(JSON.stringify(stream)) };
  });
  return shown.sort(byText);
}

function byText(a: string, b: string): number {
  return a < b ? -1 : 1;
}

function nameOf({ gateway, epoch, stream }: StreamKey): string {
  return `${gateway}/${epoch}/${stream}`;
}
