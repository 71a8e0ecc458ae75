/** The content of a gateway's disk: it outlives the agent, and may be replaced by an older copy of itself. */
import type { ManualHold } from '../../agent/holds/hold.ts';
import type { Progress } from '../../agent/store/file/progress.ts';
import type { StoredRecord } from '../../agent/store/types.ts';
import type { Entropy } from '../../shared/entropy.ts';
import type { EnvelopeClock } from '../../shared/envelope/envelope.ts';
import type { Gap } from '../../shared/record.ts';

export interface DiskStream {
  epoch: string;
  name: string;
  lastSeq: number;
  bytes: number;
  isEndAnnounced: boolean;
  progress: Progress;
  gaps: Gap[];
  rows: Map<number, StoredRecord>;
}

export class Disk {
  starts: number = 0;
  epochs = new Map<string, EnvelopeClock>();
  streams: DiskStream[] = [];
  /** The file of the operator's holds, beside the buffer: no copy of the buffer has it. */
  holds: readonly ManualHold[] | null = null;
  /** Syncs wait until then. */
  stalledUntilMs: number = 0;
  /** Syncs fail until then. */
  failsUntilMs: number = 0;

  /** A copy of the file, to be put back later. */
  copy(): Disk {
    const copy = new Disk();
    copy.starts = this.starts;
    copy.epochs = new Map(this.epochs);
    copy.streams = this.streams.map((stream) => ({
      ...stream,
      progress: {
        pending: stream.progress.pending.clone(),
        accepted: new Map([...stream.progress.accepted].map(([name, set]) => [name, set.clone()])),
      },
      rows: new Map(stream.rows),
    }));
    return copy;
  }

  /** Begins an epoch: the counter and random bits, so that no copy of the file gives a name twice (I2). */
  beginEpoch(entropy: Entropy, clock: EnvelopeClock): string {
    this.starts += 1;
    const epoch = `${this.starts}-${Buffer.from(entropy.bytes(4)).toString('hex')}`;
    this.epochs.set(epoch, clock);
    return epoch;
  }

  find(epoch: string, name: string): DiskStream | undefined {
    return this.streams.find((stream) => stream.epoch === epoch && stream.name === name);
  }
}
