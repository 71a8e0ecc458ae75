/** The options of `headgate demo`, from its flags; all errors are reported at once. */
import type { CloudName } from '../loopback/cloud.ts';
import { FAULT_NAMES, type FaultName } from '../loopback/faults.ts';
import { nearest } from '../shared/config/nearest.ts';

export const CLOUD_NAMES = ['aws', 'azure', 'gcp'] as const satisfies readonly CloudName[];
const KILL_TARGETS = ['agent', 'router'] as const;

/** Times count from the first publish, in seconds. */
interface DemoFault {
  /** Null: the provider with the most traffic at the start of the fault. */
  provider: CloudName | null;
  fault: FaultName;
  startSeconds: number;
  endSeconds: number;
}

interface DemoKill {
  target: (typeof KILL_TARGETS)[number];
  atSeconds: number;
}

export interface DemoOptions {
  faults: DemoFault[];
  /** SIGKILL, then a new process on the same files. */
  kills: DemoKill[];
  /** Publishes per second of all devices together. */
  rate: number;
  devices: number;
  /** Seconds. */
  duration: number;
  /** Bytes. */
  payload: number;
  seed: number;
  /** Folder for all files of the demo. Default: a temporary folder, which is removed. */
  keep?: string;
  /** Continue after the devices have finished, until SIGINT. */
  hold: boolean;
  /** One JSON line at the end instead of a live view. */
  json: boolean;
}

/** The flags of the command line. */
export interface DemoFlags {
  /** `false`: `--no-fault`; absent: the default fault. */
  fault?: readonly string[] | false;
  kill?: readonly string[];
  rate: string;
  devices: string;
  duration: string;
  payload: string;
  seed: string;
  keep?: string;
  hold?: boolean;
  json?: boolean;
}

type DemoFlagsResult = { ok: true; options: DemoOptions } | { ok: false; problems: string[] };

/** A flag's value, or the error in it. */
type Parsed<T> = { ok: true; value: T } | { ok: false; problem: string };

export function parseDemoFlags(flags: DemoFlags): DemoFlagsResult {
  const problems: string[] = [];
  const take = <T>(parsed: Parsed<T>): T[] => {
    if (parsed.ok) return [parsed.value];
    problems.push(parsed.problem);
    return [];
  };
  const number = (flag: string, text: string, min: number, max: number): number =>
    take(parseWhole(flag, text, min, max))[0] ?? max;

  const duration = number('--duration', flags.duration, 5, 86_400);
  const faults =
    flags.fault === undefined
      ? [defaultFault(duration)]
      : (flags.fault || []).flatMap((text) => take(parseFaultWindow(text, duration)));
  const kills = (flags.kill ?? []).flatMap((text) => take(parseKill(text, duration)));
  const options: DemoOptions = {
    faults,
    kills: kills.sort((a, b) => a.atSeconds - b.atSeconds),
    rate: number('--rate', flags.rate, 1, 100_000),
    devices: number('--devices', flags.devices, 1, 10_000),
    duration,
    payload: number('--payload', flags.payload, 16, 65_536),
    seed: number('--seed', flags.seed, 0, 2 ** 32 - 1),
    ...(flags.keep === undefined ? {} : { keep: flags.keep }),
    hold: flags.hold ?? false,
    json: flags.json ?? false,
  };
  return problems.length === 0 ? { ok: true, options } : { ok: false, problems };
}

/** Without `--fault` and `--no-fault`, the cloud in use is silent for the middle third. */
function defaultFault(duration: number): DemoFault {
  const third = Math.round(duration / 3);
  return { provider: null, fault: 'blackhole', startSeconds: third, endSeconds: 2 * third };
}

/** `aws:blackhole`. */
export function parseFaultName(text: string): Parsed<{ provider: CloudName; fault: FaultName }> {
  const [providerText = '', faultText = '', ...rest] = text.split(':');
  if (rest.length > 0 || faultText === '')
    return problem(`"${text}" is not <provider>:<fault>, for example aws:blackhole`);
  const provider = CLOUD_NAMES.find((name) => name === providerText);
  if (provider === undefined) return problem(unknownName('provider', providerText, CLOUD_NAMES));
  const fault = FAULT_NAMES.find((name) => name === faultText);
  if (fault === undefined) return problem(unknownName('fault', faultText, FAULT_NAMES));
  return { ok: true, value: { provider, fault } };
}

/** `aws:blackhole@10-25`, in seconds. */
function parseFaultWindow(text: string, duration: number): Parsed<DemoFault> {
  const match = /^(.*)@(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)$/.exec(text);
  if (match === null) {
    return problem(
      `--fault "${text}": expected <provider>:<fault>@<start>-<end> in seconds, for example aws:blackhole@10-25`,
    );
  }
  const named = parseFaultName(match[1] ?? '');
  if (!named.ok) return problem(`--fault "${text}": ${named.problem}`);
  const startSeconds = Number(match[2]);
  const endSeconds = Number(match[3]);
  if (endSeconds <= startSeconds) return problem(`--fault "${text}": the end must come after the start`);
  if (endSeconds > duration)
    return problem(`--fault "${text}": it ends after the demo (--duration ${duration})`);
  return { ok: true, value: { ...named.value, startSeconds, endSeconds } };
}

/** `agent@12`, in seconds. */
function parseKill(text: string, duration: number): Parsed<DemoKill> {
  const match = /^([^@]*)@(\d+(?:\.\d+)?)$/.exec(text);
  if (match === null) return problem(`--kill "${text}": expected agent@<second> or router@<second>`);
  const target = KILL_TARGETS.find((name) => name === match[1]);
  if (target === undefined)
    return problem(`--kill "${text}": ${unknownName('process', match[1] ?? '', KILL_TARGETS)}`);
  const atSeconds = Number(match[2]);
  if (atSeconds > duration)
    return problem(`--kill "${text}": it comes after the demo (--duration ${duration})`);
  return { ok: true, value: { target, atSeconds } };
}

function parseWhole(flag: string, text: string, min: number, max: number): Parsed<number> {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return { ok: true, value };
  return problem(`${flag} "${text}": expected a whole number from ${min} to ${max}`);
}

function unknownName(what: string, name: string, known: readonly string[]): string {
  const guess = nearest(name, known);
  const meant = guess === null ? '' : ` (did you mean ${guess}?)`;
  return `unknown ${what} "${name}"${meant}; known: ${known.join(', ')}`;
}

function problem(text: string): { ok: false; problem: string } {
  return { ok: false, problem: text };
}
