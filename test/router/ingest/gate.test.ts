/** The gate that keeps sources from receiving while the ledger does not commit. */
import t from 'tap';
import { LedgerGate } from '../../../router/ingest/gate.ts';
import { seededEntropy } from '../../../shared/entropy.ts';
import { createLogger } from '../../../shared/log.ts';
import { ManualClock } from '../../manual-clock.ts';
import { asTimePasses } from '../../until.ts';

function made() {
  const clock = new ManualClock();
  const lines: string[] = [];
  const log = createLogger({ level: 'info', levels: {} }, { write: (line) => lines.push(line) });
  const asked: number[] = [];
  let answer: () => Promise<void> = () => Promise.reject(new Error('away'));
  const ledger = {
    ping: () => {
      asked.push(clock.monoMs());
      return answer();
    },
  };
  const gate = new LedgerGate({ ledger, clock, entropy: seededEntropy(1), log });
  const say = (next: () => Promise<void>): void => {
    answer = next;
  };
  /** Time passes until the ledger was asked once more. */
  const askedAgain = async (): Promise<void> => {
    const before = asked.length;
    await asTimePasses(clock, 100, 'a question', () => asked.length > before);
  };
  return { gate, clock, lines, asked, say, askedAgain };
}

const never = new AbortController().signal;

t.test('closed, it asks until the ledger answers, and then lets all through', async (t) => {
  const { gate, lines, say, askedAgain } = made();
  t.ok(gate.isOpen);
  await gate.opened(never);
  gate.close('disk I/O error');
  t.notOk(gate.isOpen);
  let passed = 0;
  const waiting = [1, 2].map(() =>
    gate.opened(never).then(() => {
      passed += 1;
    }),
  );
  for (let i = 0; i < 3; i += 1) await askedAgain();
  t.equal(passed, 0);
  say(() => Promise.resolve());
  await askedAgain();
  await Promise.all(waiting);
  t.ok(gate.isOpen);
  t.match(
    lines.map((line) => JSON.parse(line)),
    [{ event: 'intake.paused', error: 'disk I/O error' }, { event: 'intake.resumed' }],
  );
});

t.test('a ledger that answers and does not commit is asked ever more rarely, until it commits', async (t) => {
  const { gate, clock, asked, say, askedAgain } = made();
  say(() => Promise.resolve());
  const pauses: number[] = [];
  const failing = async (): Promise<void> => {
    const sinceMs = clock.monoMs();
    gate.close('no commit');
    await askedAgain();
    await gate.opened(never);
    pauses.push((asked.at(-1) ?? 0) - sinceMs);
  };
  for (let i = 0; i < 6; i += 1) await failing();
  const [first = 0] = pauses;
  t.ok(first <= 600 && (pauses.at(-1) ?? 0) >= 2500, `pauses of ${pauses} ms`);
  gate.committed();
  await failing();
  t.ok((pauses.at(-1) ?? 0) <= 600, 'a commit is the proof');
});

t.test('a ledger that gives no answer is asked again after five seconds', async (t) => {
  const { gate, asked, say, askedAgain } = made();
  say(() => new Promise(() => undefined));
  gate.close('away');
  await askedAgain();
  await askedAgain();
  const [first = 0, second = 0] = asked;
  t.ok(second - first >= 5000, `${second - first} ms`);
  say(() => Promise.resolve());
  await askedAgain();
  await gate.opened(never);
});

t.test('a wait ends with its signal, and a stop with its question', async (t) => {
  const { gate } = made();
  gate.close('away');
  const source = new AbortController();
  const waiting = gate.opened(source.signal);
  source.abort();
  await waiting;
  t.notOk(gate.isOpen);
});
