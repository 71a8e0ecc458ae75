/** `headgate status` of an agent. */
import type { AgentStatus } from '../../shared/admin-api/status.ts';
import { bytesText, countText, line, percentText, spanText, table } from '../format.ts';

const SWITCHES_SHOWN = 5;
/** Results of receipts that are none of a fault. */
const UNDROPPED: ReadonlySet<string> = new Set(['applied', 'old']);

export function renderAgentStatus(status: AgentStatus): string {
  const { gateway, version, epoch, uptimeSeconds, clock, broker, buffer } = status;
  const head = [
    `agent ${gateway}  headgate ${version}  epoch ${epoch}  up ${spanText(uptimeSeconds * 1000)}  clock ${clock.quality}`,
    ...policyText(status),
    ...signingText(status),
    ...receiptsText(status),
    ...sealingText(status),
    `broker  ${broker.connections} connections, ${countText(broker.published)} published, ${countText(broker.refused)} refused, device file ${broker.deviceFile}`,
    ...refusals(status),
    `buffer  ${buffer.state}: ${countText(buffer.rows)} records, ${bytesText(buffer.bytes)}; ${usedText(buffer)} used (file ${bytesText(buffer.fileBytes)}, WAL ${bytesText(buffer.walBytes)})`,
    givenUpText(status),
  ].map(line);
  const sections = [
    head.join('\n'),
    ...givenUp(status),
    streams(status),
    ...stranded(status),
    providers(status),
    ...faults(status),
  ];
  if (status.switches.length > 0) sections.push(switches(status));
  return sections.join('\n\n');
}

function policyText({ policy }: AgentStatus): string[] {
  if (policy === undefined) return [];
  const { version, since, draining, refused } = policy;
  const drains = draining.length === 0 ? '' : `; left, and draining: ${draining.join(', ')}`;
  const [problem] = refused?.problem.split('\n') ?? [];
  const texts = [`policy  version ${version}, in force since ${since}${drains}`];
  if (refused !== null) texts.push(`policy refused at ${refused.at}: ${problem} (the log has all of it)`);
  return texts;
}

function signingText({ signing }: AgentStatus): string[] {
  if (signing === undefined) return [];
  return [`key ${signing.keyId}  ${signing.envelopes ? 'signs envelopes' : 'envelopes are not signed'}`];
}

/** Receipts that count, and those that were dropped. */
function receiptsText({ receipts }: AgentStatus): string[] {
  if (receipts === undefined || receipts.downlinks === 0) return [];
  const { accept, routerKeys, counts } = receipts;
  const whose =
    accept === 'signed' ? `signed by ${routerKeys.join(', ') || 'no known key'}` : 'signed or not';
  const dropped = Object.entries(counts).filter(([result, count]) => !UNDROPPED.has(result) && count > 0);
  const texts = dropped.map(([result, count]) => `${countText(count)} ${result}`);
  const rest = texts.length === 0 ? '' : `; dropped ${texts.join(', ')}`;
  return [`receipts  ${countText(counts['applied'] ?? 0)} applied, ${whose}${rest}`];
}

function sealingText({ sealing }: AgentStatus): string[] {
  if (sealing === undefined || sealing.streams.length === 0) return [];
  return [`sealed  ${sealing.streams.join(', ')}  to ${sealing.keyIds.join(', ')}`];
}

function refusals({ broker, streams }: AgentStatus): string[] {
  const reasons = Object.entries(broker.refusals).sort(([, a], [, b]) => b - a);
  const texts = [
    ...reasons.map(([reason, count]) => `${countText(count)} ${reason}`),
    ...streams.flatMap(({ name, fewerCopies }) =>
      fewerCopies === 0
        ? []
        : [`${countText(fewerCopies)} records of ${name} with fewer copies than asked for`],
    ),
  ];
  return texts.length === 0 ? [] : [`refused ${texts.join(', ')}`];
}

function usedText({ usedBytes, limitBytes }: AgentStatus['buffer']): string {
  return `${bytesText(usedBytes)} of ${bytesText(limitBytes)} (${percentText(usedBytes / limitBytes)})`;
}

function givenUpText({ givenUp: { records, sinceMs, before } }: AgentStatus): string {
  const earlier = before === 0 ? '' : `, ${countText(before)} before it that were not yet reported`;
  return `given up ${records === 0 ? 'nothing' : `${countText(records)} records`} since the start ${spanText(sinceMs)} ago${earlier}`;
}

/** Records that were given up, by stream and reason. */
function givenUp({ givenUp: { streams } }: AgentStatus): string[] {
  const rows = streams.map(({ stream, reason, records, before, lastMs }) => [
    stream,
    reason,
    countText(records),
    countText(before),
    lastMs === null ? 'before the start' : `${spanText(lastMs)} ago`,
  ]);
  return rows.length === 0 ? [] : [table(['GIVEN UP OF', 'REASON', 'RECORDS', 'BEFORE', 'LAST'], rows)];
}

function streams(status: AgentStatus): string {
  return table(
    ['STREAM', 'TO', 'PENDING', 'IN FLIGHT', 'UNCONFIRMED', 'ACCEPTED', 'RATE/S', 'DRAINED IN', 'OLDEST'],
    status.streams.map((stream) => [
      stream.name,
      stream.chosen.join(', ') || 'nobody',
      countText(stream.pending),
      countText(stream.inFlight),
      countText(stream.awaitingReceipt),
      countText(stream.accepted),
      stream.ratePerSecond.toFixed(1),
      spanText(stream.timeToDrainSeconds === null ? null : stream.timeToDrainSeconds * 1000),
      spanText(stream.oldestAgeMs),
    ]),
  );
}

/** Streams whose records wait for another policy or configuration. */
function stranded(status: AgentStatus): string[] {
  const rows = status.streams.flatMap(({ name, stranded: reason }) => (reason ? [[name, reason]] : []));
  return rows.length === 0 ? [] : [table(['STREAM', 'NEVER LEAVES BECAUSE'], rows)];
}

function providers(status: AgentStatus): string {
  return table(
    [
      'PROVIDER',
      'TYPE',
      'REGION',
      'HEALTH',
      'FOR',
      'SCORE',
      'COST',
      'PERF',
      'COMPL',
      'REL',
      'P50',
      'P95',
      'SUCCESS',
      'ACCEPTED',
      'FAILED',
      'UNITS',
      'HOLDS',
      'CREDENTIALS',
      'EXPIRE',
    ],
    status.providers.map((provider) => [
      provider.name,
      provider.type,
      provider.region,
      provider.health,
      spanText(provider.sinceMs),
      provider.score.toFixed(3),
      provider.parts.cost.toFixed(2),
      provider.parts.performance.toFixed(2),
      provider.parts.compliance.toFixed(2),
      provider.parts.reliability.toFixed(2),
      spanText(provider.p50Ms),
      spanText(provider.p95Ms),
      percentText(provider.successRate),
      countText(provider.accepted),
      countText(provider.failed),
      countText(provider.units),
      provider.holds.join(', ') || 'none',
      `${provider.credentials.slot} ${provider.credentials.standing}`,
      provider.credentials.expiresAt ?? 'unknown',
    ]),
  );
}

/** Why providers accept nothing: a line for each of them. */
function faults(status: AgentStatus): string[] {
  const rows = status.providers.flatMap(({ name, fault }) =>
    fault === null ? [] : [[name, fault.cause, spanText(fault.forMs), fault.detail]],
  );
  return rows.length === 0 ? [] : [table(['PROVIDER', 'DOWN BY', 'FOR', 'LAST SAID'], rows)];
}

function switches(status: AgentStatus): string {
  return table(
    ['SWITCHED AT', 'STREAM', 'FROM', 'TO', 'REASON'],
    status.switches
      .slice(-SWITCHES_SHOWN)
      .map(({ at, stream, from, to, reason }) => [at, stream, from ?? 'nobody', to ?? 'nobody', reason]),
  );
}
