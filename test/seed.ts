import { systemEntropy } from '../shared/entropy.ts';

const SEED_MAX = 2 ** 31;

/**
 * The seed of a test's random input: `HEADGATE_SEED`, a fresh one with `HEADGATE_SEED=fresh`, otherwise
 * always the same, so that a change is judged by its own faults. The test prints it.
 */
export function testSeed(): number {
  const given = process.env['HEADGATE_SEED'] ?? '1';
  return given === 'fresh' ? Math.floor(systemEntropy.float() * SEED_MAX) : Number(given);
}
