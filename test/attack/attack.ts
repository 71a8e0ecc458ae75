/** An attack as data: who does it, and how far it may get. `npm run attack` plays all of them. */

/** The attackers of the table in SECURITY.md. */
export const ATTACKERS = [
  'card thief',
  'cloud account',
  'gateway',
  'device',
  'router',
  'network',
  'local user',
] as const;
export type Attacker = (typeof ATTACKERS)[number];

export const ENGINES = ['sqlite', 'postgres', 'jetstream'] as const;
export type Engine = (typeof ENGINES)[number];
export const PROVIDERS = ['aws', 'azure', 'gcp', 'mqtt', 'https'] as const;
export type Provider = (typeof PROVIDERS)[number];

/** In which of the possible surroundings an attack is played. */
export interface Place {
  /** Of the router's ledger. */
  engine: Engine;
  /** Through which the attacker publishes. */
  provider: Provider;
  /** Of the admin servers. */
  address: string;
  /** Fewer repetitions. */
  isShort: boolean;
}

/** How far an attack got: a count, or a ratio to a quiet run of the same process. Never a time. */
export interface Measured {
  figure: number;
  /** The attack held when the figure is not above it. */
  bound: number;
  /** The unit of the count. */
  unit: string;
}

export interface Attack<Target> {
  /** `<room>/<attack>`, as SECURITY.md cites it. */
  name: string;
  by: readonly Attacker[];
  /** Known to get further than it may: `--open` alone plays it. */
  isOpen?: boolean;
  /** Runs real attacks against real processes. A throw means that the target did not do as it should. */
  run(target: Target, place: Place): Promise<Measured>;
}

/** Attacks with a common target. */
export interface Group {
  attacks: ReadonlyArray<Pick<Attack<never>, 'name' | 'by' | 'isOpen'>>;
  /** The surroundings that make a difference to these attacks. */
  varies: ReadonlyArray<'engine' | 'provider' | 'address'>;
  /** Only root can play them. */
  needsRoot: boolean;
  /** Plays the chosen ones on one target, and tells each result. */
  play(place: Place, chosen: ReadonlySet<string>, tell: Tell): Promise<void>;
}

export type Tell = (name: string, result: Measured | { error: unknown }) => void;

interface Target {
  /** Null while all programs under attack live; else how one ended. */
  ended(): string | null;
  stop(): Promise<void>;
}

/** A group whose target is opened once. The target must outlive each attack. */
export function group<Of extends Target>(of: {
  varies?: Group['varies'];
  needsRoot?: boolean;
  open(place: Place): Promise<Of>;
  attacks: readonly Attack<Of>[];
}): Group {
  const { varies = [], needsRoot = false, open, attacks } = of;
  return {
    attacks,
    varies,
    needsRoot,
    async play(place, chosen, tell) {
      const due = attacks.filter(({ name }) => chosen.has(name));
      if (due.length === 0) return;
      try {
        const target = await open(place);
        try {
          for (const attack of due) tell(attack.name, await played(attack, target, place));
        } finally {
          await target.stop();
        }
      } catch (error) {
        tell(`${due[0]?.name} and ${due.length - 1} beside it`, { error });
      }
    },
  };
}

async function played<Of extends Target>(
  attack: Attack<Of>,
  target: Of,
  place: Place,
): Promise<Measured | { error: unknown }> {
  try {
    const measured = await attack.run(target, place);
    const ended = target.ended();
    return ended === null ? measured : { error: new Error(ended) };
  } catch (error) {
    return { error };
  }
}

/** A count that may not be above `bound`. */
export function count(figure: number, unit: string, bound = 0): Measured {
  return { figure, bound, unit };
}
