import assert from 'node:assert/strict';
import { encode } from 'cborg';
import fc from 'fast-check';
import t from 'tap';
import { CborWriter } from '../../../shared/envelope/cbor-writer.ts';

type Item = number | string | Uint8Array | null | Item[];

const { item } = fc.letrec<{ item: Item }>((tie) => ({
  item: fc.oneof(
    { maxDepth: 3 },
    fc.maxSafeInteger(),
    fc.constantFrom(
      0,
      23,
      24,
      255,
      256,
      65_535,
      65_536,
      2 ** 32 - 1,
      2 ** 32,
      -1,
      -24,
      -25,
      -256,
      -257,
      -(2 ** 32) - 1,
    ),
    fc.string({ unit: 'grapheme', maxLength: 300 }),
    fc.uint8Array({ maxLength: 300 }),
    fc.constant(null),
    fc.array(tie('item'), { maxLength: 30 }),
  ),
}));

function write(writer: CborWriter, value: Item): void {
  if (value === null) writer.null();
  else if (typeof value === 'number') writer.integer(value);
  else if (typeof value === 'string') writer.text(value);
  else if (value instanceof Uint8Array) writer.bytes(value);
  else {
    writer.array(value.length);
    for (const one of value) write(writer, one);
  }
}

t.test('writes what cborg writes, byte for byte', async () => {
  fc.assert(
    fc.property(item, (value) => {
      const writer = new CborWriter(Buffer.alloc(1_000_000));
      write(writer, value);
      assert.deepEqual([...writer.written()], [...encode(value)]);
    }),
    { numRuns: 300 },
  );
});

t.test('what is no safe integer is refused', async (t) => {
  for (const value of [0.5, Number.NaN, 2 ** 53]) {
    t.throws(() => new CborWriter(Buffer.alloc(9)).integer(value), RangeError);
  }
});
