/** The maintenance contract (../maintenance.ts) on JetStream. */
import type { Clock } from '../../../shared/clock.ts';
import { deadLettersOf } from '../erasure.ts';
import type {
  DeadLetterFilter,
  DeadLetterHead,
  LedgerMaintenance,
  Retained,
  StoredBytes,
  StoredDeadLetter,
} from '../maintenance.ts';
import type { RetentionRules } from '../rules/retention.ts';
import type { Erasure, ErasureTarget } from '../types.ts';
import { absentState, type RecordId, sightingOf, type Whereabouts } from '../whereabouts.ts';
import type { ConflictStore } from './conflicts.ts';
import type { DeadLetterStore } from './dead-letters.ts';
import type { DeviceEraser } from './erasure.ts';
import type { ErasureStore } from './erasure-log.ts';
import type { HeldVersions } from './held.ts';
import type { States } from './log/states.ts';
import type { Retention } from './retention.ts';
import type { RepeatStore } from './whereabouts.ts';

interface Parts {
  deadLetters: DeadLetterStore;
  conflicts: ConflictStore;
  held: HeldVersions;
  repeats: RepeatStore;
  states: States;
  retention: Retention;
  eraser: DeviceEraser;
  erasures: ErasureStore;
  clock: Clock;
  catchUp: () => Promise<void>;
}

export class JetStreamMaintenance implements LedgerMaintenance {
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

  async expire(nowWallMs: number): Promise<void> {
    await this.#parts.deadLetters.expire(nowWallMs);
    await this.#parts.conflicts.expire();
  }

  retain(rules: RetentionRules, nowWallMs: number): Promise<Retained> {
    return this.#parts.retention.step(rules, nowWallMs);
  }

  async storedBytes(limit: number): Promise<StoredBytes | null> {
    return this.#parts.retention.storedBytes(limit);
  }

  async erase(target: ErasureTarget, actor: string): Promise<Erasure> {
    const { eraser, erasures, clock } = this.#parts;
    let erasure = await erasures.begin(target, actor, clock.wallMs());
    for await (const { records, versions } of eraser.erase(target)) {
      if (records + versions === 0) continue;
      erasure = {
        ...erasure,
        records: erasure.records + records,
        versions: erasure.versions + versions,
      };
      await erasures.save(erasure);
    }
    const ids = await deadLettersOf(this, target);
    const deadLetters = await this.removeDeadLetters({ ids });
    const finished = { ...erasure, deadLetters, finishedWallMs: clock.wallMs() };
    await erasures.save(finished);
    return finished;
  }

  erasures(limit: number): Promise<Erasure[]> {
    return this.#parts.erasures.newest(limit);
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
      Promise.all(item.aside.filter(({ seq }) => seq === id.seq).map((one) => conflicts.version(item, one))),
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
