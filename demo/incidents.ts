/**
 * Reads failovers from the agent's log: when a provider was no longer chosen, and when the records stuck on
 * it were accepted elsewhere.
 */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { wallMsOf } from '../shared/clock.ts';

export interface AppliedFault {
  provider: string;
  fault: string;
  startWallMs: number;
  endWallMs: number;
}

export interface Failover {
  from: string;
  to: string | null;
  fault: string;
  /**
   * Why the first stream left: `breaker`, or `receipt-lag` for a cloud that acknowledged and did not deliver.
   */
  reason: string;
  /** From the start of the fault until no stream uses the provider. */
  detected_ms: number;
  /**
   * From the start of the fault until the oldest stuck record is accepted elsewhere, for the slowest stream;
   * null without stuck records.
   */
  recovered_ms: number | null;
}

/** A cloud that acknowledged and did not deliver, as the gateway detected it. */
export interface GreyFailure {
  provider: string;
  fault: string;
  /** From the start of the fault until the cloud is on hold because of late receipts. */
  detected_ms: number;
}

const lineSchema = z.object({
  time: z.iso.datetime().transform(wallMsOf),
  event: z.string(),
  stream: z.string().optional(),
  from: z.string().nullish(),
  to: z.string().nullish(),
  reason: z.string().optional(),
  provider: z.string().optional(),
});
type Line = z.output<typeof lineSchema>;

/** One entry per fault that made a stream leave its provider. */
export async function findFailovers(agentLog: string, faults: readonly AppliedFault[]): Promise<Failover[]> {
  const lines = parse(await readFile(agentLog, 'utf8'));
  return faults.flatMap((fault) => {
    const during = lines.filter(
      ({ time, from }) => from === fault.provider && time >= fault.startWallMs && time < fault.endWallMs,
    );
    const switches = firstPerStream(during.filter(({ event }) => event === 'routing.switch'));
    const recovered = firstPerStream(
      during.filter(({ event, to }) => event === 'forward.recovered' && to !== fault.provider),
    );
    const [first] = switches;
    if (!first) return [];
    const latest = (some: Line[]): number => Math.max(...some.map(({ time }) => time)) - fault.startWallMs;
    return [
      {
        from: fault.provider,
        to: first.to ?? null,
        fault: fault.fault,
        reason: first.reason ?? '',
        detected_ms: latest(switches),
        recovered_ms: recovered.length > 0 ? latest(recovered) : null,
      },
    ];
  });
}

/** One entry per fault during which receipts put its provider on hold. */
export async function findGreyFailures(
  agentLog: string,
  faults: readonly AppliedFault[],
): Promise<GreyFailure[]> {
  const holds = parse(await readFile(agentLog, 'utf8')).filter(
    ({ event, reason }) => event === 'routing.hold' && reason === 'receipt-lag',
  );
  return faults.flatMap(({ provider, fault, startWallMs, endWallMs }) => {
    const hold = holds.find(
      (line) => line.provider === provider && line.time >= startWallMs && line.time < endWallMs,
    );
    return hold ? [{ provider, fault, detected_ms: hold.time - startWallMs }] : [];
  });
}

function firstPerStream(lines: readonly Line[]): Line[] {
  const first = new Map<string, Line>();
  for (const line of lines) {
    const stream = line.stream ?? '';
    if (!first.has(stream)) first.set(stream, line);
  }
  return [...first.values()];
}

const READ_EVENTS = ['"routing.switch"', '"routing.hold"', '"forward.recovered"'];

/** Skips lines that are not JSON, such as the last words of a crash. */
function parse(text: string): Line[] {
  return text.split('\n').flatMap((line) => {
    if (!READ_EVENTS.some((event) => line.includes(event))) return [];
    const parsed = lineSchema.safeParse(JSON.parse(line));
    return parsed.success ? [parsed.data] : [];
  });
}
