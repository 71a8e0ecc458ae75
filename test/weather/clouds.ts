/**
 * Loopback clouds for the namespace `cloud`: the same servers as everywhere, with certificates for
 * `<name>.cloud.test`, and doors on the namespace's own addresses. Argument: a folder. Prints one JSON line
 * with the entries of the agent and of the router when all is up; the line `cut` on stdin breaks every
 * connection that came through the doors.
 */
import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { stringify } from 'yaml';
import { AwsCloud } from '../../loopback/aws.ts';
import { AzureCloud } from '../../loopback/azure.ts';
import { type CertificateAuthority, createCertificateAuthority } from '../../loopback/ca.ts';
import { GcpCloud } from '../../loopback/gcp.ts';
import { systemClock as clock } from '../../shared/clock.ts';
import { systemEntropy as entropy } from '../../shared/entropy.ts';
import { createLogger } from '../../shared/log.ts';
import { freePort } from '../servers/free-port.ts';
import { CLOUD_ADDRESSES } from './net.ts';

const GATEWAY = 'weather';
const NAMES = ['localhost', ...['aws', 'azure', 'gcp', 'router'].map((name) => `${name}.cloud.test`)];

const [dir = ''] = process.argv.slice(2);
const own = await createCertificateAuthority(clock, entropy);
const ca: CertificateAuthority = {
  ...own,
  issue: (commonName, use) =>
    own.issue(commonName, use, [
      ...NAMES.map((value) => ({ type: 'dns' as const, value })),
      ...['127.0.0.1', ...Object.values(CLOUD_ADDRESSES)].map((value) => ({ type: 'ip' as const, value })),
    ]),
};
const write = (name: string, text: string | Buffer): string => {
  const file = join(dir, name);
  writeFileSync(file, text, { mode: 0o600 });
  return file;
};
const caFile = write('ca.pem', ca.ca);
const options = {
  ca,
  caFile,
  clock,
  entropy,
  log: createLogger({ level: 'warn', levels: {} }, process.stderr),
};
const clouds = [new AwsCloud(options), new GcpCloud(options), new AzureCloud(options)];
await Promise.all(clouds.map((cloud) => cloud.start()));

const server = await ca.issue('localhost', 'server');
const { publicKey, privateKey } = generateKeyPairSync('ed25519');
const public_keys = [publicKey.export({ type: 'spki', format: 'pem' })];
const port = await freePort();
const downlink = {
  type: 'https',
  name: 'router',
  url: `https://router.cloud.test:${port}`,
  ca_file: caFile,
  token_key_file: write('gateway.key', privateKey.export({ type: 'pkcs8', format: 'pem' })),
};
const source = {
  type: 'https',
  name: 'https',
  port,
  cert_file: write('router.crt', server.cert),
  key_file: write('router.key', server.key),
  gateways_file: write('gateways.yaml', stringify({ gateways: { [GATEWAY]: { public_keys } } })),
};

const open = new Set<Socket>();
/** The same port on the namespace's addresses leads to 127.0.0.1. */
function door(target: number): void {
  for (const host of Object.values(CLOUD_ADDRESSES)) {
    const listening = createServer((outer) => {
      const inner = connect({ host: '127.0.0.1', port: target });
      for (const [one, other] of [
        [outer, inner],
        [inner, outer],
      ] as const) {
        one.on('error', () => other.destroy());
        one.on('close', () => other.destroy());
        one.pipe(other);
      }
      open.add(outer);
      outer.once('close', () => open.delete(outer));
    });
    listening.listen(target, host);
  }
}

/** An endpoint, or the gateway in a connection string. */
const OWN_ADDRESS = /localhost:(\d+)/;
const providers = clouds.map((cloud) => {
  const text = JSON.stringify(cloud.agentConfig(GATEWAY));
  door(Number(OWN_ADDRESS.exec(text)?.[1]));
  const provider: unknown = JSON.parse(text.replace(OWN_ADDRESS, `${cloud.name}.cloud.test:$1`));
  return provider;
});
door(port);
console.log(
  JSON.stringify({
    providers,
    downlinks: [downlink],
    sources: [...clouds.map((cloud) => cloud.routerConfig()), source],
  }),
);
for await (const line of createInterface({ input: process.stdin })) {
  if (line !== 'cut') continue;
  for (const socket of open) {
    if (socket.writableEnded) socket.destroy();
    else socket.resetAndDestroy();
  }
}
process.exit(0);
