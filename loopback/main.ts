/**
 * `headgate clouds`: the three loopback clouds in one process, with a control API on 127.0.0.1 and ready-made
 * configurations.
 */
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type Clock, systemClock } from '../shared/clock.ts';
import { makeFolder } from '../shared/config/start-check.ts';
import { type Entropy, systemEntropy } from '../shared/entropy.ts';
import { createLogger, type Logger } from '../shared/log.ts';
import { runUntilStopped } from '../shared/process.ts';
import { type Service, stopAll } from '../shared/service.ts';
import { AwsCloud } from './aws.ts';
import { AzureCloud } from './azure.ts';
import { createCertificateAuthority } from './ca.ts';
import type { Cloud, CloudEndpoint } from './cloud.ts';
import { type Written, writeConfigs } from './configs.ts';
import { ControlServer } from './control.ts';
import { GcpCloud } from './gcp.ts';

export interface CloudsOptions {
  /** Port of the control API; 0 takes a free port. */
  controlPort: number;
  /** Fixed ports; the other endpoints take free ones. */
  ports: Partial<Record<CloudEndpoint, number>>;
  /**
   * Folder for the CA certificate and the ready-made agent.yaml and router.yaml; default: a temporary folder.
   */
  dir?: string;
  /** Print one JSON line with the addresses instead of text. */
  json: boolean;
}

interface Deps {
  clock: Clock;
  entropy: Entropy;
  log: Logger;
}

/** Creates the three clouds with one certificate authority, and writes it to `<dir>/ca.pem`. */
async function createClouds(dir: string, ports: CloudsOptions['ports'], deps: Deps): Promise<Cloud[]> {
  const ca = await createCertificateAuthority(deps.clock, deps.entropy);
  const caFile = join(dir, 'ca.pem');
  await writeFile(caFile, ca.ca);
  const port = (endpoint: CloudEndpoint): number => ports[endpoint] ?? 0;
  const options = { ca, caFile, ...deps };
  return [
    new AwsCloud({ ...options, ports: { ingest: port('aws.ingest'), queue: port('aws.queue') } }),
    new AzureCloud({ ...options, ports: { ingest: port('azure.ingest'), events: port('azure.events') } }),
    new GcpCloud({ ...options, ports: { ingest: port('gcp.ingest'), subscribe: port('gcp.subscribe') } }),
  ];
}

/** Runs until SIGTERM or SIGINT; resolves with the exit code. */
export async function runClouds(options: CloudsOptions): Promise<number> {
  const dir =
    options.dir === undefined ? await mkdtemp(join(tmpdir(), 'headgate-clouds-')) : resolve(options.dir);
  await makeFolder('--dir', dir);
  const log = createLogger({ level: 'warn', levels: {} }, process.stderr);
  const clouds = await createClouds(dir, options.ports, { clock: systemClock, entropy: systemEntropy, log });
  const control = new ControlServer({ clouds, port: options.controlPort });
  const announce: Service = {
    start: async () => {
      const url = `http://127.0.0.1:${control.port}`;
      const files = await writeConfigs(dir, clouds, systemEntropy);
      const text = options.json
        ? `${JSON.stringify({ control: url, dir, files })}\n`
        : welcome(url, dir, files);
      process.stdout.write(text);
    },
    stop: () => Promise.resolve(),
  };
  const all: Service = {
    start: async () => {
      await Promise.all(clouds.map((cloud) => cloud.start()));
    },
    stop: () => stopAll(clouds.map((cloud) => () => cloud.stop())),
  };
  return runUntilStopped([all, control, announce], systemClock, log);
}

const SAYS: Readonly<Record<Written, string>> = {
  made: 'written',
  updated: 'kept, with the addresses and keys of this start',
  left: 'left as it is: no YAML with the entries of these clouds',
};

function welcome(url: string, dir: string, files: Readonly<Record<string, Written>>): string {
  const said = Object.entries(files).map(([name, how]) => `  ${name.padEnd(14)}${SAYS[how]}\n`);
  return `Loopback clouds are up: aws, azure, gcp.

${said.join('')}
  control API   ${url}
  agent         headgate agent --config ${join(dir, 'agent.yaml')}
  router        headgate router --config ${join(dir, 'router.yaml')}
  a fault       headgate clouds fault aws:blackhole --control ${url}
  and its end   headgate clouds fault aws:clear --control ${url}

Ctrl-C ends them.
`;
}
