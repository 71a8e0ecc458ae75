/**
 * What the policy asks of the buffer for each stream, and the rule by which records are given up when the
 * buffer is full: the stream of the lowest priority first, then the oldest records; never a stream that asked
 * to be refused instead; and never for the sake of a record of lower priority (I3).
 *
 * Pure: no clock, no I/O (I11).
 */

/**
 * When a record of the stream is acknowledged: on the disk; in memory, on the disk at the latest that much
 * later; in memory.
 */
export type Durability = { kind: 'fsync' } | { kind: 'interval'; intervalMs: number } | { kind: 'memory' };

export interface StreamLimits {
  durability: Durability;
  /** Higher is kept longer. */
  priority: number;
  /** Bound of the stream's record bytes; null: only the buffer's. */
  maxBytes: number | null;
  /** Older records are given up; null: none. */
  maxAgeMs: number | null;
  /** When there is no room: give up older records, or refuse new ones. */
  whenFull: 'evict' | 'reject';
}

export interface StoreLimits {
  /** Bound of the file and its log together, in bytes. */
  maxBytes: number;
  streams: Readonly<Record<string, StreamLimits>>;
}

/** Of a stream that the policy does not name: it left the policy with records in the buffer. */
const UNNAMED: StreamLimits = {
  durability: { kind: 'fsync' },
  priority: 5,
  maxBytes: null,
  maxAgeMs: null,
  whenFull: 'evict',
};

/** Each stream durable, and evicted alike. */
export const DEFAULT_LIMITS: StoreLimits = { maxBytes: 2 * 2 ** 30, streams: {} };

export function limitsOf({ streams }: StoreLimits, stream: string): StreamLimits {
  return Object.hasOwn(streams, stream) ? (streams[stream] ?? UNNAMED) : UNNAMED;
}

/** What one stream of one epoch holds, for the rule. */
export interface Holding {
  limits: StreamLimits;
  /** The epoch's start counter: epochs follow each other. */
  epochNumber: number;
  /** Monotonic time of its oldest record, comparable within an epoch. */
  oldestMonoMs: number;
}

/** Which of them gives up its oldest records next; null when none may. */
export function nextVictim<T extends Holding>(holdings: Iterable<T>): T | null {
  let victim: T | null = null;
  for (const holding of holdings) {
    if (holding.limits.whenFull === 'evict' && (victim === null || comesBefore(holding, victim)))
      victim = holding;
  }
  return victim;
}

function comesBefore(a: Holding, b: Holding): boolean {
  if (a.limits.priority !== b.limits.priority) return a.limits.priority < b.limits.priority;
  if (a.epochNumber !== b.epochNumber) return a.epochNumber < b.epochNumber;
  return a.oldestMonoMs < b.oldestMonoMs;
}
