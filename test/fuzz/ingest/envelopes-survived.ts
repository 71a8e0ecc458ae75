/** Hostile envelopes of a seed through every source of a real router (I5, I9). */
import type { Test } from 'tap';
import type { EngineName } from '../../crash-router/engines.ts';
import { testSeed } from '../../seed.ts';
import { fuzzIngest } from './fuzz.ts';
import { SEALED } from './kinds.ts';

/** Sends so many envelopes, shared out over the sources; of 400, each kind comes whatever the seed. */
export async function survivesEnvelopes(t: Test, envelopes: number, engine?: EngineName): Promise<void> {
  const seed = testSeed();
  t.comment(`seed ${seed}`);
  const { problems, sent, reasons, retried } = await fuzzIngest({ envelopes, seed, engine }, () => undefined);
  const args = `--engine ${engine ?? 'sqlite'} --envelopes ${envelopes} --seed ${seed}`;
  t.same(problems, [], `npm run fuzz:ingest -- ${args}`);
  t.same(new Set(Object.keys(sent)), new Set(['aws', 'azure', 'gcp', 'mqtt', 'https']));
  for (const [source, kinds] of Object.entries(sent))
    t.match(kinds, { largest: 1, 'too large': 1 }, `up to its bound and past it (I10): ${source}`);
  t.match(sent, { mqtt: { raced: Number } }, 'forged and genuine came under one id');
  for (const [source, kinds] of Object.entries(sent)) {
    t.match(kinds, { valid: Number, sealed: Number, replayed: Number, elsewhere: Number }, source);
    const missing = SEALED.filter((kind) => kinds[kind] === undefined);
    t.same(missing, source === 'gcp' ? ['seal-foreign'] : [], `every sealed kind: ${source}`);
  }
  t.ok(retried >= Object.keys(sent).length, 'what was sealed to a removed key is taken when it is back');
  t.match(reasons, {
    checksum: Number,
    schema: Number,
    limit: Number,
    'foreign-gateway': Number,
    nul: Number,
    unsigned: Number,
    'unknown-key': Number,
    signature: Number,
    unproven: Number,
    implausible: Number,
    frame: Number,
    seal: Number,
    'seal-key': Number,
    unsealed: Number,
  });
}
