/** The changes of an audit log: each begun entry with its end. */
import type { Entry, Facts } from '../shared/audit/audit-log.ts';

export interface ListedChange {
  seq: number;
  at: string;
  program: string;
  who: Facts;
  action: string;
  target: string | null;
  /** `unfinished`: a kill or a power cut came between the change's two entries, and it may be in force. */
  result: 'done' | 'refused' | 'failed' | 'noted' | 'unfinished';
  detail: Facts;
}

/** In the order of the entries, of one log after another. */
export function changesOf(entries: readonly Entry[]): ListedChange[] {
  const changes: ListedChange[] = [];
  const open = new Map<string, ListedChange>();
  for (const { log, seq, at, program, who, action, target, phase, of, detail } of entries) {
    const begun = of === null ? undefined : open.get(`${log} ${of}`);
    if (begun) {
      begun.result = resultOf(phase);
      begun.detail = { ...begun.detail, ...detail };
      continue;
    }
    const result = resultOf(phase);
    const change: ListedChange = { seq, at, program, who, action, target, result, detail };
    changes.push(change);
    if (phase === 'begun') open.set(`${log} ${seq}`, change);
  }
  return changes;
}

function resultOf(phase: Entry['phase']): ListedChange['result'] {
  return phase === 'begun' ? 'unfinished' : phase;
}
