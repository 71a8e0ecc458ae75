/**
 * After everything healed and drained: what the ledger holds and states, against what really happened (I3,
 * I5, I6).
 */
import { completenessOf } from '../../router/ledger/rules/rules.ts';
import { IntervalSet } from '../../shared/interval-set.ts';
import type { LedgerDisk } from './router.ts';
import type { KnownRecord, Truth } from './truth.ts';

export function finalChecks(truth: Truth, ledger: LedgerDisk): void {
  for (const [id, known] of truth.records) {
    const isThere = ledger.records.has(id);
    truth.check(
      isThere || isExcused(truth, id, known),
      'I3',
      () => `${id} is neither in the ledger nor given up`,
    );
    truth.check(!isThere || known.isForwarded, 'I5', () => `${id} is in the ledger and never arrived`);
  }
  checkSealed(truth, ledger);
  for (const [name, { key, state }] of ledger.streams) {
    const stated = completenessOf(key, state);
    const missing = IntervalSet.of(stated.missing);
    const gaps = IntervalSet.of(stated.gaps);
    truth.check(stated.conflicts === 0, 'I6', () => `${name} states ${stated.conflicts} conflicts`);
    for (let seq = 1; seq <= stated.highest; seq += 1) {
      const id = `${name}/${seq}`;
      const isThere = ledger.records.has(id);
      const known = truth.records.get(id);
      const claims = Number(isThere) + Number(missing.has(seq)) + Number(gaps.has(seq));
      truth.check(claims === 1, 'I6', () => `${id} is held, missing and given up ${claims} times in all`);
      const mayMiss = known !== undefined && isExcused(truth, id, known);
      truth.check(!missing.has(seq) || mayMiss, 'I6', () => `${id} is stated as missing`);
      truth.check(
        !gaps.has(seq) || known?.isGivenUp === true,
        'I6',
        () => `${id} is stated as given up, and was not`,
      );
      truth.check(
        !(known?.isGivenUp && missing.has(seq)) || isGapLost(truth, id, known) || known.isRestoredAway,
        'I6',
        () => `${id} was given up, and the router does not know`,
      );
    }
  }
}

/** Absent records of an epoch whose end is announced are stated as missing, up to its last record. */
function checkSealed(truth: Truth, ledger: LedgerDisk): void {
  for (const [id, known] of truth.records) {
    const [gateway = '', epoch = '', stream = '', seq] = id.split('/');
    const entry = ledger.streams.get(`${gateway}/${epoch}/${stream}`);
    if (!entry || entry.state.sealedAt === null || ledger.records.has(id)) continue;
    if (known.isGivenUp || known.isRestoredAway) continue;
    const { missing } = completenessOf(entry.key, entry.state);
    const isStated = missing.some(({ first, last }) => first <= Number(seq) && Number(seq) <= last);
    truth.check(isStated, 'I6', () => `${id} is absent, and the router does not know`);
  }
}

/**
 * It may be absent: a cloud acknowledged and dropped every copy of a stream that waits for no receipt, it was
 * given up, or the disk went back in time.
 */
function isExcused(truth: Truth, id: string, known: KnownRecord): boolean {
  const isDropped = known.acknowledged.size > 0 && !known.isForwarded && !waitsForReceipt(truth, id);
  return isDropped || known.isGivenUp || known.isRestoredAway;
}

/** In a stream that waits for receipts a gap that was dropped is announced again. */
function isGapLost(truth: Truth, id: string, { isGapDropped }: KnownRecord): boolean {
  return isGapDropped && !waitsForReceipt(truth, id);
}

function waitsForReceipt(truth: Truth, id: string): boolean {
  return truth.untilReceipt.has(id.split('/')[2] ?? '');
}
