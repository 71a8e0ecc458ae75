/**
 * Changes over HTTP at an admin server, in the audit log. They are remedies (a hold keeps records away from a
 * provider that fails), so one that cannot be noted is made all the same, with an error in the log (I9).
 */
import { readFile } from 'node:fs/promises';
import type { Clock } from '../clock.ts';
import { errorText } from '../error-text.ts';
import type { Logger } from '../log.ts';
import { within } from '../within.ts';
import type { AuditLog, Change } from './audit-log.ts';
import { factsOf } from './core/entry.ts';

/** A client waits for five seconds. */
const NOTE_MS = 2000;

export interface Peer {
  address: string;
  /** Of the peer and of this server. */
  ports: readonly [number | undefined, number | undefined];
  /** Value of the header. */
  says: unknown;
}

interface HttpAuditOptions {
  log: AuditLog;
  clock: Clock;
  logger: Logger;
}

export class HttpAudit {
  readonly #options: HttpAuditOptions;

  constructor(options: HttpAuditOptions) {
    this.#options = options;
  }

  /** Makes the change and notes it; `isDone` says whether the answer is that of a change made. */
  async around<T>(
    named: Omit<Change, 'who'>,
    peer: Peer,
    work: () => Promise<T>,
    isDone: (answer: T) => boolean,
  ): Promise<T> {
    const change = { ...named, who: await whoOf(peer) };
    const begun = await this.#noted(change, () => this.#options.log.begin(change));
    const answer = await work();
    if (begun !== null) {
      const phase = isDone(answer) ? 'done' : 'refused';
      await this.#noted(change, () => this.#options.log.end(begun, change, { phase }));
    }
    return answer;
  }

  /** Null for an entry that could not be written, or not in time. Never rejects. */
  async #noted<T>({ action, target }: Change, write: () => Promise<T>): Promise<T | null> {
    const { clock, logger } = this.#options;
    let problem = `not written in ${NOTE_MS} ms`;
    const writing = write().catch((error: unknown) => {
      problem = errorText(error);
      return null;
    });
    const written = await within(clock, NOTE_MS, writing, () => null);
    if (written === null) logger.error({ event: 'audit.not_written', action, target, problem });
    return written;
  }
}

async function whoOf({ address, ports: [remote, local], says }: Peer) {
  const uid = remote === undefined || local === undefined ? null : await peerUid(remote, local);
  return factsOf({ via: 'http', address, uid, says: typeof says === 'string' ? says : null });
}

/**
 * The user whose process on this machine has the other end of a connection: /proc/net/tcp, proc(5), whose
 * columns are the ends as address:port in hexadecimal, and in the eighth place the uid. Null where the kernel
 * does not tell.
 */
async function peerUid(remote: number, local: number): Promise<number | null> {
  const uids = new Set<string>();
  for (const file of ['/proc/net/tcp', '/proc/net/tcp6']) {
    const text = await readFile(file, 'utf8').catch(() => '');
    for (const row of text.split('\n').slice(1)) {
      const [, ownEnd = '', otherEnd = '', , , , , uid] = row.trim().split(/\s+/);
      if (portOf(ownEnd) === remote && portOf(otherEnd) === local && uid !== undefined) uids.add(uid);
    }
  }
  const [uid] = uids;
  return uids.size === 1 ? Number(uid) : null;
}

function portOf(end: string): number {
  return Number.parseInt(end.split(':')[1] ?? '', 16);
}
