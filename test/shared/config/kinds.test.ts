import fc from 'fast-check';
import t from 'tap';
import { byteSize, byteSizeText, duration, durationText, identifier } from '../../../shared/config/kinds.ts';

t.test('durations and sizes parse to milliseconds and bytes', async (t) => {
  for (const [text, ms] of Object.entries({
    '250ms': 250,
    '1.5s': 1500,
    '15m': 900_000,
    '6h': 21_600_000,
    '0s': 0,
  })) {
    t.equal(duration().parse(text), ms);
  }
  for (const [text, bytes] of Object.entries({ '10B': 10, '1.5KiB': 1536, '100MB': 1e8, '2GiB': 2 ** 31 })) {
    t.equal(byteSize().parse(text), bytes);
  }
  for (const text of ['', '5', '5 s', '-5s', '1e3s', '5S', 's'])
    t.notOk(duration().safeParse(text).success, text);
  for (const text of ['', '5', '5 KB', '-5B', '5kb', 'KiB'])
    t.notOk(byteSize().safeParse(text).success, text);
});

t.test('the text of a duration or a size parses back to it', async () => {
  fc.assert(fc.property(fc.nat({ max: 1e12 }), (ms) => duration().parse(durationText(ms)) === ms));
  fc.assert(fc.property(fc.nat({ max: 1e12 }), (bytes) => byteSize().parse(byteSizeText(bytes)) === bytes));
});

t.test('the text is the one a person would write', async (t) => {
  t.strictSame([0, 250, 1500, 30_000, 900_000, 86_400_000].map(durationText), [
    '0ms',
    '250ms',
    '1500ms',
    '30s',
    '15m',
    '1d',
  ]);
  t.strictSame([0, 1000, 1536, 262_144, 2 ** 31].map(byteSizeText), [
    '0B',
    '1000B',
    '1536B',
    '256KiB',
    '2GiB',
  ]);
});

t.test('identifiers are safe as topic levels, labels and file names', async (t) => {
  for (const name of ['a', '0', 'gw-1', 'a_b', 'a'.repeat(64)])
    t.ok(identifier().safeParse(name).success, name);
  for (const name of ['', '-a', '_a', 'A', 'a/b', 'a b', 'a.b', '..', 'ä', 'a'.repeat(65)]) {
    t.notOk(identifier().safeParse(name).success, name);
  }
});
