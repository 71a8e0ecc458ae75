import type { Command } from 'commander';
import { CLOUD_ENDPOINTS, type CloudEndpoint } from '../../loopback/cloud.ts';
import { EXIT } from '../../shared/exit-codes.ts';
import { ask, CLOUDS_CONTROL_PORT, CLOUDS_CONTROL_URL } from '../http.ts';
import { fail, printJson, printLine } from '../output.ts';
import { terminal } from '../terminal.ts';

interface StartFlags {
  controlPort: string;
  port: string[];
  dir?: string;
  json?: boolean;
}

interface FaultFlags {
  control: string;
  latency?: string;
  jitter?: string;
  period?: string;
  json?: boolean;
}

const WHO = 'the control server of headgate clouds';

export function addCloudsCommand(program: Command): void {
  const clouds = program
    .command('clouds')
    .description(
      "Loopback clouds on 127.0.0.1 that speak the providers' protocols, with faults to switch on.",
    );
  clouds
    .command('start', { isDefault: true })
    .description('Start them; prints ready-made provider and source entries. Any signal ends it cleanly.')
    .option(
      '--control-port <port>',
      'port of the control server; 0 takes a free one',
      String(CLOUDS_CONTROL_PORT),
    )
    .option(
      '--port <endpoint=port>',
      `fixed port of an endpoint (${CLOUD_ENDPOINTS.join(', ')}); free ones otherwise; repeatable`,
      (text: string, all: string[]) => [...all, text],
      [],
    )
    .option('--dir <folder>', 'where to keep certificates and the written configurations')
    .option('--json', 'print the entries as JSON')
    .action(async (flags: StartFlags) => {
      terminal().exitCode = await start(flags);
    });
  clouds
    .command('fault <provider:fault>')
    .description('Switch a fault on (aws:blackhole) or off (aws:clear).')
    .option('--control <url>', 'address of the control server', CLOUDS_CONTROL_URL)
    .option('--latency <ms>', 'for slow, slow-ramp, brownout: delay added to answers')
    .option('--jitter <ms>', 'for slow, slow-ramp, brownout: random deviation from that delay')
    .option('--period <ms>', 'for flap: half a cycle; for slow-ramp: how long it grows')
    .option('--json', 'print the answer as JSON')
    .action(async (spec: string, flags: FaultFlags) => {
      terminal().exitCode = await setFault(spec, flags);
    });
  clouds
    .command('status')
    .description('Show what each cloud has metered, and its fault.')
    .option('--control <url>', 'address of the control server', CLOUDS_CONTROL_URL)
    .option('--json', 'print the answer as JSON')
    .action(async (flags: { control: string; json?: boolean }) => {
      terminal().exitCode = await showClouds(flags.control, flags.json ?? false);
    });
}

async function start({ controlPort, port: fixed, dir, json = false }: StartFlags): Promise<number> {
  const port = wholeNumber(controlPort);
  if (port === null || port > 65_535)
    return fail(`--control-port "${controlPort}": expected 0 to 65535`, EXIT.usage);
  const ports: Partial<Record<CloudEndpoint, number>> = {};
  for (const text of fixed) {
    const [name, number = ''] = text.split('=');
    const endpoint = CLOUD_ENDPOINTS.find((known) => known === name);
    const value = wholeNumber(number);
    if (!endpoint || value === null || value > 65_535) {
      return fail(
        `--port "${text}": expected one of ${CLOUD_ENDPOINTS.join(', ')}, then = and a port`,
        EXIT.usage,
      );
    }
    ports[endpoint] = value;
  }
  const { runClouds } = await import('../../loopback/main.ts');
  return runClouds({ controlPort: port, ports, json, ...(dir === undefined ? {} : { dir }) });
}

async function setFault(spec: string, flags: FaultFlags): Promise<number> {
  const { CLOUD_NAMES, parseFaultName } = await import('../../demo/options.ts');
  const cleared = CLOUD_NAMES.find((name) => spec === `${name}:clear`);
  const named = parseFaultName(spec);
  if (cleared === undefined && !named.ok) return fail(`${named.problem}; or clear`, EXIT.usage);
  const body: Record<string, unknown> = named.ok ? { fault: named.value.fault } : {};
  for (const [flag, field] of [
    ['latency', 'latencyMs'],
    ['jitter', 'jitterMs'],
    ['period', 'periodMs'],
  ] as const) {
    const text = flags[flag];
    if (text === undefined) continue;
    const value = wholeNumber(text);
    if (value === null) return fail(`--${flag} "${text}": expected whole milliseconds`, EXIT.usage);
    body[field] = value;
  }
  const path = `/v1/clouds/${cleared ?? (named.ok ? named.value.provider : '')}/fault`;
  const question = { base: flags.control, path, who: WHO, logsIn: false };
  const answer = await ask(
    cleared === undefined ? { ...question, method: 'PUT', body } : { ...question, method: 'DELETE' },
  );
  if (!answer.ok) return fail(answer.message, answer.code);
  if (flags.json) printJson(answer.body);
  else printLine(cleared === undefined ? `${spec} is on` : `${cleared} has no fault`);
  return EXIT.ok;
}

async function showClouds(control: string, json: boolean): Promise<number> {
  const answer = await ask({ base: control, path: '/v1/clouds', who: WHO, logsIn: false });
  if (!answer.ok) return fail(answer.message, answer.code);
  if (json) printJson(answer.body);
  else {
    const { renderClouds } = await import('../render/clouds.ts');
    printLine(renderClouds(answer.body));
  }
  return EXIT.ok;
}

function wholeNumber(text: string): number | null {
  return /^\d{1,9}$/.test(text) ? Number(text) : null;
}
