/**
 * Erasing a device: its records are removed in bounded steps, and each id stays known as erased, so that a
 * redelivery does not restore it. The first step writes the erasure's row, and every step updates its counts.
 */
import { decodeEnvelope } from '../../shared/envelope/codec.ts';
import { EnvelopeError } from '../../shared/envelope/error.ts';
import { FORMAT_LIMITS } from '../../shared/envelope/limits.ts';
import type { ErasureTarget } from './types.ts';

/** The ids of one step: `first..last` of each stream. */
export interface ErasureWindow<Stream> {
  streams: Stream[];
  first: number;
  last: number;
}

const IDS_PER_STEP = 50_000;

/** All ids of all streams in small steps: a large stream in pieces, small streams together. */
export function* erasureWindows<Stream extends { max: number }>(
  streams: Iterable<Stream>,
): Generator<ErasureWindow<Stream>> {
  let small: Stream[] = [];
  let ids = 0;
  for (const stream of streams) {
    if (stream.max > IDS_PER_STEP) {
      for (let first = 1; first <= stream.max; first += IDS_PER_STEP) {
        yield { streams: [stream], first, last: first + IDS_PER_STEP - 1 };
      }
      continue;
    }
    if (ids + stream.max > IDS_PER_STEP) {
      yield { streams: small, first: 1, last: IDS_PER_STEP };
      small = [];
      ids = 0;
    }
    small.push(stream);
    // A stream without records still costs a query.
    ids += Math.max(stream.max, IDS_PER_STEP / 500);
  }
  if (small.length > 0) yield { streams: small, first: 1, last: IDS_PER_STEP };
}

/** The part of a ledger's maintenance that {@link deadLettersOf} needs. */
interface DeadLetters {
  deadLetterHeads(filter: Record<string, never>, limit: number): Promise<readonly { id: number }[]>;
  loadDeadLetter(id: number): Promise<{ bytes: Uint8Array } | null>;
}

/** The readable dead letters that hold a record of the device. */
export async function deadLettersOf(letters: DeadLetters, target: ErasureTarget): Promise<number[]> {
  const found: number[] = [];
  for (const { id } of await letters.deadLetterHeads({}, Number.MAX_SAFE_INTEGER)) {
    const letter = await letters.loadDeadLetter(id);
    if (letter && holdsRecordOf(letter.bytes, target)) found.push(id);
  }
  return found;
}

function holdsRecordOf(bytes: Uint8Array, { device, gateway }: ErasureTarget): boolean {
  try {
    const envelope = decodeEnvelope(bytes, FORMAT_LIMITS);
    if (gateway !== null && envelope.gateway !== gateway) return false;
    return envelope.records.some((record) => record.device === device);
  } catch (error) {
    if (error instanceof EnvelopeError) return false;
    throw error;
  }
}
