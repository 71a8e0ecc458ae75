import t from 'tap';
import { seededEntropy } from '../../shared/entropy.ts';
import { Disk } from './disk.ts';
import type { Entry } from './trace.ts';

const TRIES = 400;

/**
 * Everything that a cut after these entries may leave, each as `name=text`, with runs of a character
 * shortened.
 */
function outcomes(entries: readonly Entry[]): Set<string> {
  const disk = new Disk();
  for (const entry of entries) disk.apply(entry);
  const found = new Set<string>();
  for (let seed = 0; seed < TRIES; seed++) {
    const files = [...disk.lost(seededEntropy(seed))].sort(([a], [b]) => (a < b ? -1 : 1));
    found.add(files.map(([name, data]) => `${name}=${shortened(data)}`).join(' '));
  }
  return found;
}

/** One character for each sector, `.` for zeros. */
function shortened(data: Buffer): string {
  const sectors = Array.from({ length: Math.ceil(data.length / 512) }, (_, i) => data[i * 512] ?? 0);
  return sectors.map((byte) => (byte === 0 ? '.' : String.fromCharCode(byte))).join('');
}

function write(inode: bigint, sector: number, text: string): Entry {
  const data = Buffer.concat([...text].map((letter) => Buffer.alloc(512, letter)));
  return { kind: 'write', inode, offset: sector * 512, data };
}

const FILE: readonly Entry[] = [
  { kind: 'create', inode: 2n, name: 'f' },
  write(2n, 0, 'aa'),
  { kind: 'sync', inode: 2n },
  { kind: 'sync-folder' },
];

t.test('what was synced is there, whatever the cut', async (t) => {
  t.same([...outcomes(FILE)], ['f=aa']);
  t.same([...outcomes([...FILE, write(2n, 1, 'b'), { kind: 'sync', inode: 2n }])], ['f=ab']);
});

t.test('a name needs a sync of the folder', async (t) => {
  const [create, data, sync] = FILE;
  if (!create || !data || !sync) throw new Error('three entries');
  t.same(outcomes([create, data, sync]), new Set(['', 'f=aa']));
  t.same(outcomes([...FILE, { kind: 'unlink', name: 'f' }]), new Set(['', 'f=aa']));
  t.same(outcomes([...FILE, { kind: 'rename', name: 'f', to: 'g' }]), new Set(['f=aa', 'g=aa']));
  t.same(
    outcomes([...FILE, { kind: 'unlink', name: 'f' }, { kind: 'create', inode: 3n, name: 'f' }]),
    new Set(['', 'f=', 'f=aa']),
  );
});

t.test('an unsynced write is there, missing, or torn between sectors', async (t) => {
  t.same(outcomes([...FILE, write(2n, 0, 'bb')]), new Set(['f=aa', 'f=ba', 'f=ab', 'f=bb']));
});

t.test('a later write may be there without an earlier one', async (t) => {
  const found = outcomes([...FILE, write(2n, 0, 'b'), write(2n, 1, 'c')]);
  t.same(found, new Set(['f=aa', 'f=ba', 'f=ac', 'f=bc']));
});

t.test('a write past the end may leave zeros, a truncation may have happened or not', async (t) => {
  t.same(outcomes([...FILE, write(2n, 2, 'b')]), new Set(['f=aa', 'f=aab', 'f=aa.']));
  t.same(outcomes([...FILE, { kind: 'truncate', inode: 2n, size: 512 }]), new Set(['f=aa', 'f=a']));
});
