/**
 * The JetStream streams of a ledger, and the check that they belong together. Each carries the ledger's id in
 * its description. Each except the log also holds a permanent message with the id, which distinguishes a
 * purged stream from an empty one. The log begins with commit 1, and a message in `cursors` notes how far the
 * log and the records had come, so that one that was recreated or restored from an older copy is detected.
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
import type { Head } from './log/log.ts';
import type { Names } from './names.ts';

type Part = 'cursors' | 'records' | 'state' | 'commits';
type Found = Record<Part, StreamState | null>;
type Whole = Record<Part, StreamState>;

/** The first message of the first one decides the id. */
const PARTS: readonly Part[] = ['cursors', 'records', 'state', 'commits'];
const MARKED: readonly Part[] = ['cursors', 'records', 'state'];
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
  #opened: Whole | null = null;
  #checkedMs = Number.NEGATIVE_INFINITY;
  #notedMs = Number.NEGATIVE_INFINITY;

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
    const found = await this.#found();
    return PARTS.every((part) => found[part] === null);
  }

  /** Throws StartRefused when the parts are no complete ledger; a router creates a missing ledger. */
  async open(role: LedgerRole, replicas: number): Promise<void> {
    let found = await this.#found();
    if (!isWhole(found)) {
      if (role === 'tool') throw missing(this.#names, found);
      if (PARTS.every((part) => found[part] === null)) this.#memory?.expect(null);
      await this.#make(found, replicas);
      found = await this.#agreed();
    }
    if (!isWhole(found)) throw missing(this.#names, found);
    const id = idOf(found);
    if (id === null && role === 'router') {
      await this.#mark(found, idFrom(found.cursors));
      found = await this.#found();
    } else if (id !== null && role === 'router' && found.commits.lastSeq === 0) {
      await this.#markMessages(id);
    }
    if (!isWhole(found)) throw missing(this.#names, found);
    const known = idOf(found);
    const problem = known === null ? null : await this.#problemOf(found);
    if (problem !== null) throw new StartRefused(`ledger ${this.#names.ledger}: ${problem}`, EXIT.config);
    if (known !== null) this.#memory?.expect({ id: known, position: found.commits.lastSeq });
    this.#opened = found;
  }

  /** Throws LedgerLost when the parts are not those that were opened; checks at most every few seconds. */
  async checkNowAndThen(head: Head): Promise<void> {
    if (this.#clock.monoMs() - this.#checkedMs >= CHECK_EACH_MS) await this.check(head);
  }

  async check(head: Head): Promise<void> {
    const problem = await this.#changed(head);
    if (problem !== null) throw new LedgerLost(`ledger ${this.#names.ledger}: ${problem}`);
    this.#checkedMs = this.#clock.monoMs();
    const { id = null } = this.#opened?.cursors ?? {};
    if (id === null || head.seq === 0 || this.#checkedMs - this.#notedMs < NOTE_EACH_MS) return;
    this.#notedMs = this.#checkedMs;
    const { lastSeq } = (await this.#found()).records ?? { lastSeq: 0 };
    const note = `${id} ${head.seq} ${lastSeq}`;
    await this.#connection.publish(this.#names.mark('cursors'), Buffer.from(note));
    this.#memory?.note({ id, position: head.seq });
  }

  async #changed(head: Head): Promise<string | null> {
    const opened = this.#opened;
    if (opened === null) return 'it is not open';
    const found = await this.#found();
    for (const part of PARTS) {
      const name = this.#names[part];
      const now = found[part];
      if (now === null) return `JetStream stream ${name} is gone`;
      if (now.created !== opened[part].created) return `JetStream stream ${name} was made anew`;
      if (now.lastSeq < opened[part].lastSeq) return `JetStream stream ${name} is an older copy`;
    }
    const { commits } = found;
    if (!isWhole(found) || commits === null) return 'it is not whole';
    if (commits.lastSeq < head.seq) return `${this.#names.commits} ends before the last commit`;
    return idOf(found) === null ? null : this.#problemOf(found);
  }

  /** The problem of a complete set of parts; null when there is none. */
  async #problemOf(found: Whole): Promise<string | null> {
    const id = idOf(found);
    for (const part of PARTS) {
      const own = found[part].id;
      if (own !== id) return `JetStream stream ${this.#names[part]} is of another ledger`;
    }
    const { commits, records } = found;
    if (commits.lastSeq > 0 && (commits.messages === 0 || commits.firstSeq > 1)) {
      return `JetStream stream ${this.#names.commits} was purged: its first commits are gone`;
    }
    for (const part of MARKED) {
      const message = await this.#connection.getLatest(this.#names[part], this.#names.mark(part));
      if (message === null && commits.lastSeq === 0) continue;
      if (message === null) return `JetStream stream ${this.#names[part]} was purged`;
      const [of, seq = '0', recordsSeq = '0'] = Buffer.from(message.data).toString().split(' ');
      if (of !== id) return `JetStream stream ${this.#names[part]} holds the content of another ledger`;
      if (commits.lastSeq < Number(seq)) {
        return `JetStream stream ${this.#names.commits} ends before commit ${seq}, which it held: an older copy, or made anew`;
      }
      if (records.lastSeq < Number(recordsSeq)) {
        return `JetStream stream ${this.#names.records} ends before message ${recordsSeq}, which it held: an older copy, or made anew`;
      }
    }
    return null;
  }

  async #found(): Promise<Found> {
    const states = await Promise.all(
      PARTS.map((part) => this.#connection.streamState(this.#names[part], CHECK_MS_MAX)),
    );
    const [cursors = null, records = null, state = null, commits = null] = states;
    for (const part of [cursors, records, state, commits]) {
      if (part && !part.description.startsWith(DESCRIPTION)) {
        throw new StartRefused(`JetStream stream ${part.name} is not a ledger's`, EXIT.config);
      }
    }
    return { cursors, records, state, commits };
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
      throw missing(this.#names, later);
    }
    const { subjects } = this.#names;
    const config = (part: Part, id: string): Partial<StreamConfig> & { name: string } => ({
      ...streamDefaults(replicas),
      description: `${DESCRIPTION} ${id}`,
      name: this.#names[part],
      subjects: [...subjects[part]],
      // Only the leader answers for the state: a snapshot must not be older than the checkpoint.
      ...(part === 'records' || part === 'commits' ? { allow_direct: true } : { max_msgs_per_subject: 1 }),
    });
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

/** The id of the first part; null where no part has one: a ledger of an earlier version. */
function idOf(found: Whole): string | null {
  return PARTS.some((part) => found[part].id !== null) ? (found.cursors.id ?? '') : null;
}

function isOne(found: Found): boolean {
  return isWhole(found) && PARTS.every((part) => found[part].id === found.cursors.id);
}

function isWhole(found: Found): found is Whole {
  return PARTS.every((part) => found[part] !== null);
}

function missing(names: Names, found: Found): StartRefused {
  const gone = PARTS.filter((part) => found[part] === null);
  if (gone.length === PARTS.length) {
    return new StartRefused(`there is no ledger ${names.ledger} in JetStream`, EXIT.failed);
  }
  const list = gone.map((part) => names[part]).join(', ');
  return new StartRefused(
    `ledger ${names.ledger} lost a part: JetStream stream ${list} is missing. Restore it from a backup, or remove the others and begin a new ledger`,
    EXIT.config,
  );
}
