import { randomBytes } from 'node:crypto';
import t from 'tap';
import { compress, decompress } from '../../shared/zstd.ts';

const LEVEL = 3;
const SIZES = [0, 1, 63, 64, 65, 600, 65_535, 65_536, 65_537, 1_000_000];

t.test('what goes in comes out, whether it shrinks or not', async (t) => {
  for (const size of SIZES) {
    for (const content of [randomBytes(size), Buffer.alloc(size, 'reading ')]) {
      t.ok(decompress(compress(content, LEVEL), size + 1).equals(content), `${size} bytes`);
    }
  }
});

t.test('a frame takes no more memory than it is given', async (t) => {
  const frame = compress(Buffer.alloc(100_000), LEVEL);
  t.throws(() => decompress(frame, 99_999), { code: 'ERR_BUFFER_TOO_LARGE' });
  t.equal(decompress(frame, 100_000).length, 100_000);
});

t.test('half a frame is an error', async (t) => {
  const frame = compress(randomBytes(1000), LEVEL);
  t.throws(() => decompress(frame.subarray(0, 500), 2000));
});
