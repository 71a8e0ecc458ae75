/** The messages to a source, drawn by a seed: each lot comes once before any comes again. */
import type { Fields } from '../packets.ts';
import {
  FORGERIES,
  type Forgery,
  KINDS,
  type Kind,
  SEALED,
  type Sealed,
  UNPROVEN,
  type Unproven,
} from './kinds.ts';
import type { Way } from './world.ts';

export type Lot =
  /** `elsewhere`: a sealed envelope that another source has brought. */
  | { share: 'valid' | 'sealed' | 'replayed' | 'elsewhere' | 'raced' }
  | { share: 'hostile'; kind: Kind }
  | { share: 'forged'; kind: Forgery }
  | { share: 'unproven'; kind: Unproven }
  | { share: 'sealed-hostile'; kind: Sealed };

/** How often each share that is not hostile is among the lots. */
const SHARES = { valid: 6, sealed: 5, replayed: 3, elsewhere: 1, raced: 2 } as const;
/** Pub/Sub does not name the publisher: there, an envelope of another gateway counts as valid. */
const NAMELESS = 'gcp';
const FOREIGN: readonly string[] = ['foreign', 'seal-foreign'];

function lotsOf({ source, signs, isSigned }: Way): Lot[] {
  const shares = Object.entries(SHARES).flatMap(([share, times]) =>
    Array.from({ length: times }, () => ({ share }) as Lot),
  );
  const named = (kind: string): boolean => source !== NAMELESS || !FOREIGN.includes(kind);
  const all: Lot[] = [
    // A race needs a source where the gateway signs and others need not.
    ...shares.filter(({ share }) => share !== 'raced' || (signs && !isSigned)),
    ...KINDS.filter(named).map((kind) => ({ share: 'hostile', kind }) as const),
    ...SEALED.filter(named).map((kind) => ({ share: 'sealed-hostile', kind }) as const),
  ];
  if (signs) all.push(...FORGERIES.map((kind) => ({ share: 'forged', kind }) as const));
  if (!isSigned) all.push(...UNPROVEN.map((kind) => ({ share: 'unproven', kind }) as const));
  return all;
}

/** The first two of a source are valid: others are made of what was sent before. */
export class Lots {
  readonly #all: readonly Lot[];
  readonly #fields: Fields;
  #left: Lot[] = [{ share: 'sealed' }, { share: 'valid' }];

  constructor(way: Way, fields: Fields) {
    this.#all = lotsOf(way);
    this.#fields = fields;
  }

  next(): Lot {
    if (this.#left.length === 0) this.#left = this.#shuffled();
    return this.#left.pop() ?? { share: 'valid' };
  }

  /** After Fisher and Yates. */
  #shuffled(): Lot[] {
    const lots = [...this.#all];
    for (let last = lots.length - 1; last > 0; last -= 1) {
      const at = this.#fields.below(last + 1);
      const [one, other] = [lots[at], lots[last]];
      if (one && other) [lots[at], lots[last]] = [other, one];
    }
    return lots;
  }
}
