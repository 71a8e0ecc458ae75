/** Providers of all five types, and a real router that reads them in a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createPublicKey, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { agentConfigSchema } from '../../../agent/config/config.ts';
import { openPublisher } from '../../../agent/providers/open.ts';
import { typeOf } from '../../../agent/providers/provider-type.ts';
import type { Publisher } from '../../../agent/providers/publisher.ts';
import { PROVIDER_TYPES } from '../../../agent/providers/types.ts';
import type { RouterConfig } from '../../../router/config.ts';
import { routerConfigSchema } from '../../../router/config.ts';
import type { RouterStatus } from '../../../shared/admin-api/status.ts';
import { systemClock as clock } from '../../../shared/clock.ts';
import { systemEntropy as entropy } from '../../../shared/entropy.ts';
import { createLogger } from '../../../shared/log.ts';
import { newSealKey, SEALING, sealKeyFolder } from '../../../shared/sealing/seal-key.ts';
import { openSession } from '../../../shared/sealing/session.ts';
import { envelopeSigner } from '../../../shared/signing/envelope-signature.ts';
import { keepKey, removeKey } from '../../../shared/signing/key-folder.ts';
import { newPrivateKey } from '../../../shared/signing/private-key.ts';
import { signerOf } from '../../../shared/signing/signature.ts';
import { startFiveClouds } from '../../five-clouds.ts';
import { freePort } from '../../servers/free-port.ts';
import { until } from '../../until.ts';
import type { FuzzKeys, FuzzSeals } from './kinds.ts';
import { privateStream } from './sealed.ts';

const BIN = fileURLToPath(new URL('../../../bin/headgate.js', import.meta.url));
/**
 * Node's words on the Pub/Sub SDK, whose next lease extension comes after 0.9 × deadline − latency
 * (lease-manager.js): less than nothing on a machine that is slow enough.
 */
const NO_COMPLAINT = /TimeoutNegativeWarning|^Timeout duration was set to 1\.$|--trace-warnings/;
const READY_MS_MAX = 120_000;
const silent = createLogger({ level: 'silent', levels: {} });

/** The router's bound on a message of any source. Only a broker of one's own takes as much. */
const MESSAGE_BYTES_MAX = 16 * 2 ** 20;
const IOT_CORE_BYTES_MAX = 128 * 1024;
/** The router's own endpoint's, unless it is told otherwise (`max_body`). */
const BODY_BYTES_MAX = 2 ** 20;

/** Sources that accept signed envelopes only; the others accept any. */
const SIGNED: readonly string[] = ['gcp', 'https'];
/** Sources through which the gateway's own envelopes are signed. */
const SIGNING: readonly string[] = [...SIGNED, 'mqtt'];

/** More than an agent's default, up to the bounds here. */
const LARGEST = new Map([
  ['mqtt', { max_envelope_bytes: '20MiB' }],
  ['https', { max_envelope_bytes: '2MiB' }],
]);

const signs = (key: KeyObject) => envelopeSigner(signerOf(key));

const registered = (key: KeyObject) => ({
  public_keys: [createPublicKey(key).export({ type: 'spki', format: 'pem' })],
});

/** How envelopes reach one source of the router. */
export interface Way {
  source: string;
  publisher: Publisher;
  /** The largest message that arrives. */
  bytesMax: number;
  /** A larger one is refused before the router reads it; where not, it is a dead letter. */
  refusesLarger: boolean;
  /** The publisher gets the router's verdict on the message. */
  judges: boolean;
  /** The source accepts signed envelopes only. */
  isSigned: boolean;
  /** The gateway signs what it sends through it. */
  signs: boolean;
}

export interface World {
  ways: readonly Way[];
  keys: FuzzKeys;
  seals: FuzzSeals;
  config: RouterConfig;
  configFile: string;
  /** Removes a seal key while the router runs; resolves when the router has noticed. */
  withdrawKey(): Promise<void>;
  /** Puts it back. */
  restoreKey(): Promise<void>;
  status(): Promise<RouterStatus>;
  /** Messages that clouds have not yet been told to forget. */
  unsettled(): number;
  /** The router's forbidden output: at level error, or outside its log. */
  complaints: readonly string[];
  /** Ends the router as an operator does; how it ended. */
  stopRouter(): Promise<string>;
  stop(): Promise<void>;
}

/** `ledger`: that of router.yaml; the embedded one when it is absent. */
export async function createWorld(dir: string, ledger?: object): Promise<World> {
  const five = await startFiveClouds(dir, 'gw-1');
  const admin = await freePort();
  const [own, other, stranger] = [newPrivateKey(entropy), newPrivateKey(entropy), newPrivateKey(entropy)];
  const gatewaysFile = join(dir, 'gateways.yaml');
  writeFileSync(
    gatewaysFile,
    stringify({ gateways: { 'gw-1': registered(own), 'gw-2': registered(other) } }),
  );
  const dataDir = join(dir, 'router');
  const sources = five.sources.map((source) => ({
    ...source,
    accept: SIGNED.includes(source.name) ? 'signed' : 'any',
  }));
  const { seals, ...sealKeys } = await createSeals(sealKeyFolder(dataDir));
  const raw = {
    data_dir: dataDir,
    gateways_file: gatewaysFile,
    admin: { port: admin },
    sources,
    sealing: { required_streams: sources.map(({ name }) => privateStream(name)) },
    dead_letters: { max_bytes: '4GiB' },
    quotas: { dead_letters: 0, dead_letter_bytes: '0B' },
    ...(ledger && { ledger }),
  };
  const configFile = join(dir, 'router.yaml');
  writeFileSync(configFile, stringify(raw), { mode: 0o600 });
  const router = new RouterProcess(configFile);
  const { providers } = agentConfigSchema.parse({
    gateway: 'gw-1',
    data_dir: dir,
    broker: { allow_anonymous: true, listeners: [{ type: 'tcp', host: '127.0.0.1', port: 0 }] },
    providers: five.providers.map((provider) => ({ ...provider, ...LARGEST.get(provider.name) })),
    policy: {},
  });
  const ways: Way[] = [];
  for (const provider of providers) {
    const publisher = await openPublisher(typeOf(PROVIDER_TYPES, provider), provider, { clock, log: silent });
    ways.push({
      source: provider.name,
      publisher,
      ...boundsOf(publisher),
      judges: provider.type === 'https',
      isSigned: SIGNED.includes(provider.name),
      signs: SIGNING.includes(provider.name),
    });
  }
  const world: World = {
    ways,
    keys: { own: signs(own), other: signs(other), stranger: signs(stranger) },
    seals,
    config: routerConfigSchema.parse(raw),
    configFile,
    async withdrawKey() {
      await sealKeys.withdraw();
      await until('the router has noticed that a key is gone', async () =>
        /^headgate_router_seal_keys 1$/m.test(
          await (await fetch(`http://127.0.0.1:${admin}/metrics`)).text(),
        ),
      );
    },
    restoreKey: sealKeys.restore,
    complaints: router.complaints,
    async status() {
      // More streams than a run makes: all of them are in the first page.
      const response = await fetch(`http://127.0.0.1:${admin}/v1/status?limit=10000`);
      const status = (await response.json()) as RouterStatus;
      if (status.next !== null) throw new Error('the router has more streams than a page');
      return status;
    },
    unsettled: () => Object.values(five.clouds).reduce((sum, cloud) => sum + cloud.meter().unsettled, 0),
    stopRouter: () => router.stop(),
    async stop() {
      await Promise.all(ways.map(({ publisher }) => publisher.close()));
      await router.stop();
      await five.stop();
    },
  };
  await untilConnected(world);
  return world;
}

/** The seal keys of the router, one of which can be withdrawn, and what a gateway seals with. */
async function createSeals(folder: string) {
  const [current, next, gone] = [newSealKey(entropy), newSealKey(entropy), newSealKey(entropy)];
  await keepKey(folder, current, SEALING);
  let kept = await keepKey(folder, gone, SEALING);
  const to = (recipients: readonly KeyObject[], gateway = 'gw-1') =>
    openSession(recipients.map(createPublicKey), { gateway, entropy });
  const seals: FuzzSeals = {
    good: [await to([current]), await to([next, current]), await to([current, gone])],
    withdrawn: await to([gone]),
    unknown: await to([next]),
    other: await to([current], 'gw-2'),
  };
  return {
    seals,
    withdraw: () => removeKey(kept),
    async restore() {
      kept = await keepKey(folder, gone, SEALING);
    },
  };
}

/**
 * A publisher stays below its provider's bound; that of IoT Core leaves it to IoT Core to say what is too
 * much.
 */
function boundsOf({ type, maxEnvelopeBytes }: Publisher): Pick<Way, 'bytesMax' | 'refusesLarger'> {
  switch (type) {
    case 'mqtt':
      return { bytesMax: MESSAGE_BYTES_MAX, refusesLarger: false };
    case 'https':
      return { bytesMax: BODY_BYTES_MAX, refusesLarger: true };
    case 'aws':
      return { bytesMax: IOT_CORE_BYTES_MAX, refusesLarger: true };
    default:
      return { bytesMax: maxEnvelopeBytes, refusesLarger: true };
  }
}

/** Before that, an MQTT broker keeps nothing for the router. */
async function untilConnected({ status }: World): Promise<void> {
  const end = clock.monoMs() + READY_MS_MAX;
  while (clock.monoMs() < end) {
    const sources = await status().then(
      (told) => told.sources,
      () => [],
    );
    if (sources.length > 0 && sources.every(({ connected }) => connected)) return;
    await clock.sleep(50);
  }
  throw new Error('the router did not connect to every source');
}

class RouterProcess {
  readonly complaints: string[] = [];
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;

  constructor(config: string) {
    this.#child = spawn(process.execPath, [BIN, 'router', '--config', config], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.#ended = once(this.#child, 'close');
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      if (stream) createInterface({ input: stream }).on('line', (line) => this.#read(line));
    }
  }

  async stop(): Promise<string> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill('SIGTERM');
    await this.#ended;
    return this.#child.signalCode ?? `exit code ${this.#child.exitCode}`;
  }

  #read(line: string): void {
    if (NO_COMPLAINT.test(line)) return;
    const level = /^\{"level":"(\w+)"/.exec(line)?.[1];
    if (level === undefined || level === 'error' || level === 'fatal') this.complaints.push(line);
  }
}
