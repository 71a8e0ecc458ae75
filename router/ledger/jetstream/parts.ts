/**
 * The JetStream streams of a ledger, and the check that they belong together. Each carries the ledger's id in
 * its description. Each except the log also holds a permanent message with the id, which distinguishes a
 * purged stream from an empty one. The log begins with commit 1. These messages in `cursors` and `records`
 * also note how far all streams had come, so that one that was recreated or restored from an older copy is
 * detected (notes.ts, faults.ts).
 *
 * A part that is missing, purged, older than its last read, or of another ledger is never recreated: its
 * content exists nowhere else. The exception is `state`, which can be rebuilt from the log.
 */
import type { StreamConfig } from '@nats-io/jetstream';
import { nuid } from '@nats-io/transport-node';
import type { Clock } from '../../../shared/clock.ts';
import { EXIT } from '../../../shared/exit-codes.ts';
import { StartRefused } from '../../../shared/start-refused.ts';
import type { LedgerMemory } from '../remembered.ts';
import type { LedgerRole } from '../role.ts';
import { LedgerLost } from '../types.ts';
import type { Connection, StreamState } from './connection.ts';
import { DESCRIPTION, streamDefaults } from './evidence.ts';
import {
  acceptedLine,
  EVIDENCE,
  type Fault,
  type Found,
  faultsIn,
  idOf,
  isAcceptable,
  isNone,
  isRebuilt,
  isWhole,
  MARKED,
  PARTS,
  type Part,
  problemOf,
  refusal,
  type Whole,
} from './faults.ts';
import type { Head } from './log/log.ts';
import type { Names } from './names.ts';
import { decodeNote, encodeNote, type Note } from './notes.ts';

/** A commit or a read checks the parts when the last check is older. */
const CHECK_EACH_MS = 5000;
const CHECK_MS_MAX = 5000;
/** The position of the log is noted when the last note is older. */
const NOTE_EACH_MS = 60_000;
/** Replicas that make the parts at once agree on the id within this. */
const AGREE_PAUSE_MS = 200;
const AGREE_TRIES = 25;

export class LedgerParts {
  readonly #connection: Connection;
  readonly #names: Names;
  readonly #clock: Clock;
  /** As of the last check, or of the opening. */
  #seen: Whole | null = null;
  #checkedMs = Number.NEGATIVE_INFINITY;
  #notedMs = Number.NEGATIVE_INFINITY;
  #role: LedgerRole = 'router';

  readonly #memory: LedgerMemory | undefined;

  /** `memory`: which ledger this router had. */
  constructor(connection: Connection, names: Names, clock: Clock, memory?: LedgerMemory) {
    this.#connection = connection;
    this.#memory = memory;
    this.#names = names;
    this.#clock = clock;
  }

  /** Whether there is none of the parts: no ledger yet. */
  async areAbsent(): Promise<boolean> {
    return isNone(await this.#found());
  }

  /** Throws StartRefused when the parts are no complete ledger; a router creates a missing ledger. */
  async open(role: LedgerRole, replicas: number): Promise<void> {
    this.#role = role;
    let found = await this.#found();
    if (!isWhole(found)) {
      if (role === 'tool') throw await this.#refusalOf(found);
      if (isNone(found)) this.#memory?.expect(null);
      await this.#make(found, replicas);
      found = await this.#agreed();
    }
    if (!isWhole(found)) throw await this.#refusalOf(found);
    const id = idOf(found);
    if (id === null && role === 'router') {
      await this.#mark(found, idFrom(found.cursors));
      found = await this.#found();
    } else if (id !== null && role === 'router' && found.commits.lastSeq === 0) {
      await this.#markMessages(id);
    }
    if (!isWhole(found)) throw await this.#refusalOf(found);
    const faults = await this.#faults(found);
    if (faults.length > 0) throw refusal(this.#names, faults);
    const known = idOf(found);
    if (known !== null) this.#memory?.expect({ id: known, position: found.commits.lastSeq });
    this.#seen = found;
  }

  /** The ledger's id; null before it was opened, and for a ledger of an earlier version. */
  get id(): string | null {
    return this.#seen?.cursors.id ?? null;
  }

  /**
   * Takes `cursors` and the streams of evidence as they are, where they are missing, purged or older; a line
   * for each. Throws StartRefused for any other fault, and changes nothing then.
   */
  async accept(replicas: number): Promise<string[]> {
    const found = await this.#found();
    if (isNone(found)) return [];
    const faults = (await this.#faults(found)).filter((fault) => !isRebuilt(fault));
    const id = idOf(found);
    if (faults.length === 0) return [];
    if (id === null || !faults.every(isAcceptable)) throw refusal(this.#names, faults);
    if (found.cursors === null) {
      await this.#connection.ensureStream(this.#config('cursors', id, replicas));
      await this.#connection.publish(this.#names.firstId, Buffer.from(id));
    }
    await this.#write(id, found.commits?.lastSeq ?? 0);
    return faults.map((fault) => acceptedLine(this.#names, fault));
  }

  /** Throws LedgerLost when the parts are not those that were opened; checks at most every few seconds. */
  async checkNowAndThen(head: Head): Promise<void> {
    if (this.#clock.monoMs() - this.#checkedMs >= CHECK_EACH_MS) await this.check(head);
  }

  async check(head: Head): Promise<void> {
    const { found, problem } = await this.#look(head);
    if (problem !== null) throw new LedgerLost(`ledger ${this.#names.ledger}: ${problem}`);
    if (isWhole(found)) this.#seen = found;
    this.#checkedMs = this.#clock.monoMs();
    if (this.#checkedMs - this.#notedMs >= NOTE_EACH_MS) await this.#note(head);
  }

  /** The last check and note of a router that stops. */
  async close(head: Head): Promise<void> {
    if (this.#role === 'tool' || (await this.#look(head)).problem !== null) return;
    await this.#note(head);
  }

  async #note(head: Head): Promise<void> {
    const { id } = this;
    if (id === null || head.seq === 0 || this.#role === 'tool') return;
    this.#notedMs = this.#clock.monoMs();
    await this.#write(id, head.seq);
    this.#memory?.note({ id, position: head.seq });
  }

  /** Each note vouches for streams that have come so far before it is written. */
  async #write(id: string, commits: number): Promise<void> {
    const found = await this.#found();
    const ends = { commits, records: found.records?.lastSeq ?? 0 };
    const evidence = Object.fromEntries(EVIDENCE.map((part) => [part, found[part]?.lastSeq ?? 0]));
    const { records } = this.#names;
    const mark = this.#names.mark('records');
    const note = encodeNote(id, { ...ends, ...evidence });
    const cursors = await this.#connection.publish(this.#names.mark('cursors'), note);
    const last = await this.#connection.getLatest(records, mark);
    await this.#connection.publish(mark, encodeNote(id, { ...ends, ...evidence, cursors }));
    // The log of records keeps every message of a subject.
    if (last !== null) await this.#connection.remove(records, last.seq);
  }

  async #look(head: Head): Promise<{ found: Found; problem: string | null }> {
    // Before the look: a later check may end before this one.
    const seen = this.#seen;
    const found = await this.#found();
    return { found, problem: await this.#changed(seen, found, head) };
  }

  async #changed(seen: Whole | null, found: Found, head: Head): Promise<string | null> {
    if (seen === null) return 'it is not open';
    for (const part of [...PARTS, ...EVIDENCE]) {
      const [before, now, name] = [seen[part], found[part], this.#names[part]];
      if (before === null) continue;
      if (now === null) return `JetStream stream ${name} is gone`;
      if (now.created !== before.created) return `JetStream stream ${name} was made anew`;
      if (now.lastSeq < before.lastSeq) return `JetStream stream ${name} is an older copy`;
    }
    if ((found.commits?.lastSeq ?? 0) < head.seq) return `${this.#names.commits} ends before the last commit`;
    const [fault] = await this.#faults(found);
    return fault === undefined ? null : problemOf(this.#names, fault);
  }

  async #faults(found: Found): Promise<Fault[]> {
    const notes = new Map<Part, Note | null>();
    for (const part of MARKED) {
      if (found[part] === null || idOf(found) === null) continue;
      const message = await this.#connection.getLatest(this.#names[part], this.#names.mark(part));
      notes.set(part, message === null ? null : decodeNote(message.data));
    }
    // Another replica may have noted since `found`: a stream is looked at after the note that vouches for it.
    return faultsIn(found, notes).length === 0 ? [] : faultsIn(await this.#found(), notes);
  }

  async #refusalOf(found: Found): Promise<StartRefused> {
    if (!isNone(found)) return refusal(this.#names, await this.#faults(found));
    return new StartRefused(`there is no ledger ${this.#names.ledger} in JetStream`, EXIT.failed);
  }

  async #found(): Promise<Found> {
    const states = await Promise.all(
      [...PARTS, ...EVIDENCE].map((part) => this.#connection.streamState(this.#names[part], CHECK_MS_MAX)),
    );
    const [cursors = null, records = null, state = null, commits = null, ...evidence] = states;
    const [conflicts = null, deadLetters = null, repeats = null] = evidence;
    for (const part of states) {
      if (part && !part.description.startsWith(DESCRIPTION)) {
        throw new StartRefused(`JetStream stream ${part.name} is not a ledger's`, EXIT.config);
      }
    }
    return { cursors, records, state, commits, conflicts, deadLetters, repeats };
  }

  /**
   * The parts once they are of one ledger. Another replica that makes them at the same moment may have put
   * its own id into a description for a while, until it too learns which one counts.
   */
  async #agreed(): Promise<Found> {
    let found = await this.#found();
    for (let tries = 0; tries < AGREE_TRIES && !isOne(found); tries += 1) {
      await this.#clock.sleep(AGREE_PAUSE_MS);
      found = await this.#found();
    }
    return found;
  }

  /** Any number of replicas may do so at once. */
  async #make(found: Found, replicas: number): Promise<void> {
    const { cursors, commits, state, records } = found;
    const others = commits !== null || records !== null;
    const wasWhole = (commits?.lastSeq ?? 0) > 0 || (cursors !== null && (await this.#isMarked('cursors')));
    const isStateAlone = state === null && cursors !== null && commits !== null && records !== null;
    if ((wasWhole && !isStateAlone) || (cursors === null && others)) {
      // The parts are not looked at in one instant: another replica may have made them meanwhile.
      const later = await this.#agreed();
      if (isWhole(later)) return;
      throw await this.#refusalOf(later);
    }
    const config = (part: Part, id: string) => this.#config(part, id, replicas);
    const first = await this.#connection.ensureStream(config('cursors', cursors?.id ?? nuid.next()));
    const id = await this.#decideId(first);
    const rest = PARTS.filter((part) => part !== 'cursors');
    const made = await Promise.all(rest.map((part) => this.#connection.ensureStream(config(part, id))));
    for (const { id: own, name } of made) {
      if (own !== id) throw new StartRefused(`JetStream stream ${name} is of another ledger`, EXIT.config);
    }
    if (isStateAlone && wasWhole) await this.#markMessage('state', id);
    else await this.#markMessages(id);
  }

  #config(part: Part, id: string, replicas: number): Partial<StreamConfig> & { name: string } {
    return {
      ...streamDefaults(replicas),
      description: `${DESCRIPTION} ${id}`,
      name: this.#names[part],
      subjects: [...this.#names.subjects[part]],
      // Only the leader answers for the state: a snapshot must not be older than the checkpoint.
      ...(part === 'records' || part === 'commits' ? { allow_direct: true } : { max_msgs_per_subject: 1 }),
    };
  }

  /**
   * The id that all replicas take: that of the first message in `cursors`. A cluster of nats-server 2.9 lets
   * two replicas make a stream at once, tells each that it made it, and keeps one description of the two.
   */
  async #decideId(first: StreamState): Promise<string> {
    const { cursors } = this.#names;
    const own = first.id ?? idFrom(first);
    await this.#connection.publishAfter(cursors, this.#names.firstId, 0, Buffer.from(own));
    const decided = await this.#connection.getLatest(cursors, this.#names.firstId);
    const id = decided === null ? own : Buffer.from(decided.data).toString();
    if (id !== first.id) await this.#connection.describe(cursors, `${DESCRIPTION} ${id}`);
    return id;
  }

  /** Gives a ledger of an earlier version its id. The description comes last: with it, the messages count. */
  async #mark(found: Whole, id: string): Promise<void> {
    await this.#markMessages(id);
    for (const part of PARTS.toReversed()) {
      await this.#connection.describe(found[part].name, `${DESCRIPTION} ${id}`);
    }
  }

  async #markMessages(id: string): Promise<void> {
    await Promise.all(MARKED.map((part) => this.#markMessage(part, id)));
  }

  async #markMessage(part: Part, id: string): Promise<void> {
    if (await this.#isMarked(part)) return;
    await this.#connection.publish(this.#names.mark(part), Buffer.from(id));
  }

  async #isMarked(part: Part): Promise<boolean> {
    return (await this.#connection.getLatest(this.#names[part], this.#names.mark(part))) !== null;
  }
}

/** The id for a ledger of an earlier version: the same on every replica that marks it. */
function idFrom({ created }: StreamState): string {
  return created.replaceAll(/[^0-9]/g, '');
}

function isOne(found: Found): boolean {
  return isWhole(found) && PARTS.every((part) => found[part].id === found.cursors.id);
}
