/** A router that lies to the agent, which holds acknowledged records that no cloud has. */

import { createPublicKey, type KeyObject } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCertificateAuthority } from '../../../loopback/ca.ts';
import { systemClock as clock } from '../../../shared/clock.ts';
import { systemEntropy as entropy } from '../../../shared/entropy.ts';
import { newPrivateKey } from '../../../shared/signing/private-key.ts';
import { freePort } from '../../servers/free-port.ts';
import { until } from '../../until.ts';
import { type Attack, type Attacker, count, group } from '../attack.ts';
import { documentOf } from '../bytes/document.ts';
import { Device, Site } from '../world/site.ts';

const RECORDS = 20;
const FAR = Number.MAX_SAFE_INTEGER;
const HUGE_BYTES = 128 * 2 ** 20;
const MEMORY_MIB_MAX = 96;
/** Answers after which the agent has seen a lie: it polls again only when it has handled the last one. */
const POLLS = 3;

/** Answers the agent's polls as it is told. */
class Liar {
  readonly site: Site;
  readonly epoch: string;
  /** The router's own, which the agent knows. */
  readonly key: KeyObject;
  readonly #server: Server;
  readonly #dir: string;
  /** The body of each answer; null: none. */
  answer: ((version: number) => string) | null = null;
  polls = 0;

  constructor(site: Site, epoch: string, key: KeyObject, server: Server, dir: string) {
    this.site = site;
    this.key = key;
    this.epoch = epoch;
    this.#server = server;
    this.#dir = dir;
    server.on('request', (_request, response) => {
      this.polls += 1;
      if (this.answer === null) response.writeHead(204).end();
      else response.writeHead(200, { 'content-type': 'application/json' }).end(this.answer(clock.wallMs()));
    });
  }

  static async open(): Promise<Liar> {
    const dir = mkdtempSync(join(tmpdir(), 'headgate-attack-'));
    const ca = await createCertificateAuthority(clock, entropy);
    const { cert, key } = await ca.issue('localhost', 'server');
    const client = await ca.issue('gw-1', 'client');
    const write = (name: string, text: string): string => {
      writeFileSync(join(dir, name), text, { mode: 0o600 });
      return join(dir, name);
    };
    const port = await freePort();
    const server = createServer({ cert, key });
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    const files = {
      ca_file: write('ca.pem', ca.ca),
      cert_file: write('c.crt', client.cert),
      key_file: write('c.key', client.key),
    };
    const url = `https://localhost:${port}`;
    const routerKey = newPrivateKey(entropy);
    const publicKey = createPublicKey(routerKey).export({ type: 'spki', format: 'pem' });
    const site = await Site.open({
      agent: {
        receipts: { accept: 'signed', router_keys: [publicKey] },
        downlinks: [{ name: 'liar', type: 'https', url, ...files }],
        // Without the right time, no version is implausible.
        clock: { synchronised: 'assume' },
        policy: { streams: { telemetry: { topics: ['#'], until: 'receipt' } } },
      },
    });
    const device = await Device.login({ port: site.ports.tcp });
    for (let i = 0; i < RECORDS; i += 1) await device?.publish('plant/good', `${i}`);
    device?.socket.destroy();
    const { epoch } = await site.status();
    return new Liar(site, epoch, routerKey, server, dir);
  }

  /** Lets the agent take some answers; how many of its records it let go. */
  async lose(answer: (version: number) => string): Promise<number> {
    this.answer = answer;
    const from = this.polls;
    await until('the agent asks again and again', () => this.polls >= from + POLLS);
    this.answer = null;
    return RECORDS - (await this.site.status()).buffer.rows;
  }

  ended(): string | null {
    return this.site.ended();
  }

  async stop(): Promise<void> {
    await this.site.stop();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

/** Whose signature a receipt has: the router's own key, one that nobody knows, or none. */
type Signer = 'router' | 'stranger' | 'nobody';

interface Lie {
  gateway?: string;
  version: number;
  given?: ReadonlyArray<readonly [number, number]>;
  from?: number;
}

function receipt(
  liar: Liar,
  signer: Signer,
  { gateway = 'gw-1', version, given = [], from = 1 }: Lie,
): string {
  const stream = { epoch: liar.epoch, stream: 'telemetry', to: RECORDS, missing: [] };
  const rest = { given_up: given, given_up_from: from, sealed_at: null };
  const keys = { router: liar.key, stranger: newPrivateKey(entropy), nobody: null };
  return documentOf({ v: 1, gateway, version, streams: [{ ...stream, ...rest }] }, keys[signer]);
}

const LOST = `of ${RECORDS} waiting records let go`;

function lying(name: string, by: Attacker[], signer: Signer, lie: (version: number) => Lie): Attack<Liar> {
  return {
    name: `receipt/${name}`,
    by,
    async run(liar) {
      return count(await liar.lose((version) => receipt(liar, signer, lie(version))), LOST);
    },
  };
}

const huge: Attack<Liar> = {
  name: 'receipt/huge',
  by: ['router'],
  async run(liar) {
    const before = liar.site.agent.forgetPeak();
    const body = receipt(liar, 'nobody', { version: 1 }).padEnd(HUGE_BYTES, ' ');
    await liar.lose(() => body);
    return count(liar.site.agent.peak() - before, 'MiB more memory for answers of 128 MiB', MEMORY_MIB_MAX);
  },
};

/** The last: after all lies, the router's true word frees the records. */
const genuine: Attack<Liar> = {
  name: 'receipt/genuine-after-all',
  by: ['router', 'cloud account'],
  async run(liar) {
    liar.answer = (version) => receipt(liar, 'router', { version });
    await until('the genuine receipt counts', async () => (await liar.site.status()).buffer.rows === 0);
    liar.answer = null;
    return count((await liar.site.status()).buffer.rows, `of ${RECORDS} records kept after a true receipt`);
  },
};

const CLOUD: Attacker[] = ['cloud account', 'network'];

export const receipts = group<Liar>({
  open: () => Liar.open(),
  attacks: [
    lying('committed-unsigned', CLOUD, 'nobody', (version) => ({ version })),
    lying('committed-stranger', CLOUD, 'stranger', (version) => ({ version })),
    lying('given-up', ['router'], 'router', (version) => ({ version, given: [[1, RECORDS]] })),
    lying('given-up-unlisted', ['router'], 'router', (version) => ({ version, from: RECORDS + 1 })),
    lying('of-another-gateway', ['router', 'gateway'], 'router', (version) => ({ version, gateway: 'gw-2' })),
    lying('far-version', ['router', 'cloud account'], 'router', () => ({ version: FAR })),
    huge,
    genuine,
  ],
});
