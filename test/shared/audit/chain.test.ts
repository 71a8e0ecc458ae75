import fc from 'fast-check';
import t from 'tap';
import { digest } from '../../../shared/audit/audit-log.ts';
import { ChainCheck, checkCopy, compareWithCopy, type Head } from '../../../shared/audit/core/chain.ts';
import { chained, factsOf, NO_HASH, parsedLine } from '../../../shared/audit/core/entry.ts';

const RUNS = { numRuns: 60 };

/** Any text, also with controls, bidi marks, halves of surrogate pairs and line separators. */
const hostile = fc.string({
  unit: fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)),
});

const draft = fc.record({
  action: fc.constantFrom<string>('device.add', 'hold.rm', 'keys.new'),
  target: fc.option(hostile.map((text) => text.toWellFormed().slice(0, 200))),
  phase: fc.constantFrom('begun' as const, 'done' as const, 'noted' as const),
  detail: fc
    .dictionary(hostile, fc.oneof(hostile, fc.integer(), fc.boolean(), fc.constant(null)), { maxKeys: 20 })
    .map(factsOf),
});

const drafts = fc.array(draft, { minLength: 2, maxLength: 12 });

type Drafts = readonly (typeof draft extends fc.Arbitrary<infer D> ? D : never)[];

function linesOf(given: Drafts, log = '00112233445566aa'): { lines: string[]; head: Head } {
  let head = { log, seq: 0, hash: NO_HASH };
  const lines = given.map((one) => {
    const seq = head.seq + 1;
    const entry = {
      ...one,
      who: { via: 'command' },
      of: null,
      log,
      seq,
      at: 'now',
      program: 'agent',
      prev: head.hash,
    };
    const { hash, line } = chained(entry, digest);
    head = { log, seq, hash };
    return line;
  });
  return { lines, head };
}

function check(lines: readonly string[], head: Head | null) {
  const chain = new ChainCheck(digest);
  for (const line of lines) chain.add(line);
  return chain.report(head);
}

t.test('what was written is whole, one line each, and reads back as it was', async () => {
  fc.assert(
    fc.property(drafts, (given) => {
      const { lines, head } = linesOf(given);
      const report = check(lines, head);
      return (
        report.problemCount === 0 &&
        report.entries === given.length &&
        lines.every((line, at) => {
          const found = parsedLine(line, digest);
          return (
            !/[\p{Cc}\p{Bidi_Control}\u2028\u2029]/u.test(line) &&
            'entry' in found &&
            found.entry.target === given[at]?.target
          );
        })
      );
    }),
    RUNS,
  );
});

t.test('a change of any character is found', async () => {
  fc.assert(
    fc.property(
      drafts,
      fc.nat(),
      fc.nat(),
      fc.integer({ min: 32, max: 126 }),
      (given, which, place, code) => {
        const { lines, head } = linesOf(given);
        const at = which % lines.length;
        const line = lines[at] ?? '';
        const edited =
          line.slice(0, place % line.length) +
          String.fromCharCode(code) +
          line.slice((place % line.length) + 1);
        return edited === line || check(lines.with(at, edited), head).problemCount > 0;
      },
    ),
    RUNS,
  );
});

t.test('an entry taken out, moved, doubled, cut off at the end or at the beginning is found', async () => {
  fc.assert(
    fc.property(drafts, fc.nat(), (given, which) => {
      const { lines, head } = linesOf(given);
      const at = which % lines.length;
      const line = lines[at] ?? '';
      const without = lines.toSpliced(at, 1);
      const broken = [
        without,
        lines.toSpliced(at, 0, line),
        lines.slice(0, at),
        lines.slice(at + 1),
        lines.toReversed(),
        [...without, line],
      ].filter((one) => one.join() !== lines.join());
      return broken.every((one) => check(one, head).problemCount > 0);
    }),
    RUNS,
  );
});

t.test('an entry written anew with a right hash breaks the chain behind it, or the head', async () => {
  fc.assert(
    fc.property(drafts, fc.nat(), (given, which) => {
      const { lines, head } = linesOf(given);
      const at = which % lines.length;
      const found = parsedLine(lines[at] ?? '', digest);
      if ('problem' in found) return false;
      const forged = chained({ ...found.entry, action: 'ledger.erase' }, digest).line;
      return check(lines.with(at, forged), head).problemCount > 0;
    }),
    RUNS,
  );
});

t.test(
  'a copy: in any order and twice it is whole; a log rewritten on the machine contradicts it',
  async () => {
    fc.assert(
      fc.property(drafts, fc.nat(), (given, which) => {
        const { lines } = linesOf(given);
        const copy = checkCopy([...lines.toReversed(), ...lines], digest);
        const [log] = copy.logs;
        const at = which % given.length;
        // Everything from there on is written anew, with right hashes and a right head.
        const rewritten = linesOf(
          given.map((one, i) => (i === at ? { ...one, action: 'ledger.erase' } : one)),
        );
        const own = new ChainCheck(digest);
        const hashes = new Map(
          rewritten.lines.map((line) => own.add(line)).map((one) => [one?.entry.seq ?? 0, one?.hash ?? '']),
        );
        const report = own.report(rewritten.head);
        return (
          log?.report.problemCount === 0 &&
          report.problemCount === 0 &&
          compareWithCopy({ log: report.log, last: report.last, hashes }, copy)[0]?.seq === at + 1
        );
      }),
      RUNS,
    );
  },
);

t.test('a copy of another log, one with two contents, and a log that ends too early', async (t) => {
  const given = fc.sample(drafts, { numRuns: 1, seed: 7 })[0] ?? [];
  const { lines, head } = linesOf(given);
  const other = linesOf(given, 'ffffffffffffffff');
  const hashes = new Map([[head.seq, head.hash]]);
  const [anew] = compareWithCopy({ log: head.log, last: head.seq, hashes }, checkCopy(other.lines, digest));
  t.match(anew?.problem, /not the log 00112233445566aa: this one was begun anew/);
  const twice = linesOf(given.map((one) => ({ ...one, action: 'ledger.erase' })));
  t.match(checkCopy([...lines, ...twice.lines], digest).logs[0]?.report.problems, [
    { seq: 1, problem: 'came with two contents' },
  ]);
  const short = compareWithCopy({ log: head.log, last: 1, hashes: new Map() }, checkCopy(lines, digest));
  t.ok(short.length > 0 && short.every(({ problem }) => problem === 'left this machine, and is not here'));
  t.match(checkCopy(['x'], digest).problems, [{ problem: 'not an entry' }]);
});
