/**
 * The second contract (upkeep.ts) on JetStream, but for what takes records out: they lie in messages that hold the records of
 * many devices, under subjects whose messages leave as a whole or not at all.
 */
import type { Erasure } from '../erasure.ts';
import { NotSupported } from '../not-supported.ts';
import type { RetentionRules } from '../retention.ts';
import type {
  DeadLetterFilter,
  DeadLetterHead,
  LedgerUpkeep,
  Retained,
  StoredDeadLetter,
} from '../upkeep.ts';
import { absentState, type RecordId, sightingOf, type Whereabouts } from '../whereabouts.ts';
import type { ConflictStore } from './conflicts.ts';
import type { DeadLetterStore } from './dead-letters.ts';
import type { HeldVersions } from './held.ts';
import type { RepeatStore } from './repeats.ts';
import type { States } from './states.ts';

interface Parts {
  deadLetters: DeadLetterStore;
  conflicts: ConflictStore;
  held: HeldVersions;
  repeats: RepeatStore;
  states: States;
  catchUp: () => Promise<void>;
}

const ENGINE = 'jetstream';

export class JetStreamUpkeep implements LedgerUpkeep {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  deadLetterHeads(filter: DeadLetterFilter, limit: number): Promise<DeadLetterHead[]> {
    return this.#parts.deadLetters.heads(filter, limit);
  }

  loadDeadLetter(id: number): Promise<StoredDeadLetter | null> {
    return this.#parts.deadLetters.load(id);
  }

  removeDeadLetters(filter: DeadLetterFilter): Promise<number> {
    return this.#parts.deadLetters.remove(filter);
  }

  expire(nowWallMs: number): Promise<void> {
    return this.#parts.deadLetters.expire(nowWallMs);
  }

  async retain(rules: RetentionRules): Promise<Retained> {
    if (rules.length > 0) throw new NotSupported(ENGINE, 'retention');
    return { records: 0, more: false };
  }

  async erase(): Promise<Erasure> {
    throw new NotSupported(ENGINE, 'erasing a device');
  }

  async erasures(): Promise<Erasure[]> {
    throw new NotSupported(ENGINE, 'erasing a device');
  }

  async where(id: RecordId): Promise<Whereabouts> {
    const { states, held, conflicts, repeats, catchUp } = this.#parts;
    await catchUp();
    const item = await states.stream(id);
    if (!item) return { ...id, state: 'never-seen', offset: null, first: null, again: [], aside: [] };
    const quarantined = item.state.withdrawn.quarantine.has(id.seq);
    const ids = quarantined ? [] : [{ key: id, seq: id.seq }];
    const [[place], [version], repetitions, aside] = await Promise.all([
      held.places(ids),
      held.of(ids),
      repeats.of(id),
      Promise.all(
        item.aside.filter(({ seq }) => seq === id.seq).map(({ message }) => conflicts.version(message)),
      ),
    ]);
    const first = version ? { source: version.source, receivedWallMs: version.receivedWallMs } : null;
    const start = version ? (place?.offset ?? null) : null;
    return {
      ...id,
      state: version ? 'held' : absentState(item.state, id.seq),
      offset: place && start !== null ? start + id.seq - place.first : null,
      first,
      again: repetitions.map((repetition) => sightingOf(repetition, version)),
      aside: aside.flatMap((one) =>
        one ? [{ source: one.source, receivedWallMs: one.receivedWallMs }] : [],
      ),
    };
  }
}
