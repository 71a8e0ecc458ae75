/** Of every so many seeds one is run twice and compared with itself (I11). */
const TWICE_EVERY = 20;

export function shouldRunTwice(seed: number): boolean {
  return seed % TWICE_EVERY === 0;
}
