/**
 * The policy's limits for each stream in the buffer, and the rule by which a full buffer gives records up:
 * the stream of the lowest priority first, then the oldest records. Streams with `when_full: reject` never
 * give records up, and no record is given up for one of lower priority (I3).
 *
 * Pure: no clock, no I/O (I11).
 */

/**
 * When a record of the stream is acknowledged. `fsync`: on disk; `interval`: in memory, and on disk within
 * the interval; `memory`: in memory.
 */
export type Durability = { kind: 'fsync' } | { kind: 'interval'; intervalMs: number } | { kind: 'memory' };

export interface StreamLimits {
  durability: Durability;
  /** Streams of higher priority are kept longer. */
  priority: number;
  /** Bound of the stream's record bytes; null: only the buffer's bound. */
  maxBytes: number | null;
  /** Older records are given up; null: no limit. */
  maxAgeMs: number | null;
  /** Without room: give up older records, or refuse new ones. */
  whenFull: 'evict' | 'reject';
}

export interface StoreLimits {
  /** Bound of the file and its log together, in bytes. */
  maxBytes: number;
  streams: Readonly<Record<string, StreamLimits>>;
}

/** Limits of a stream that left the policy with records in the buffer. */
const UNNAMED: StreamLimits = {
  durability: { kind: 'fsync' },
  priority: 5,
  maxBytes: null,
  maxAgeMs: null,
  whenFull: 'evict',
};

/** Every stream durable, with equal eviction. */
export const DEFAULT_LIMITS: StoreLimits = { maxBytes: 2 * 2 ** 30, streams: {} };

export function limitsOf({ streams }: StoreLimits, stream: string): StreamLimits {
  return Object.hasOwn(streams, stream) ? (streams[stream] ?? UNNAMED) : UNNAMED;
}

/** The facts of one stream of one epoch that the rule needs. */
export interface Holding {
  limits: StreamLimits;
  /** The epoch's start counter, which orders epochs. */
  epochNumber: number;
  /** Monotonic time of its oldest record, comparable within an epoch. */
  oldestMonoMs: number;
}

/** The stream that gives up its oldest records next; null when none may. */
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
