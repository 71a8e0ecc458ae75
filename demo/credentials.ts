/**
 * HTTPS credentials of the demo's gateway and router: an authority, the router's certificate, and the signing
 * keys of both.
 */
import { generateKeyPairSync } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { createCertificateAuthority } from '../loopback/ca.ts';
import type { Clock } from '../shared/clock.ts';
import type { Entropy } from '../shared/entropy.ts';

/** The options with the file names: for the agent's downlink, and for the router's source. */
export interface HttpsCredentials {
  agent: { ca_file: string; token_key_file: string };
  router: { cert_file: string; key_file: string; gateways_file: string };
  /** The router's key, which signs receipts, and the agent's file with its public half. */
  receipts: { key_file: string; router_keys_file: string };
}

export async function writeCredentials(
  dir: string,
  gateway: string,
  deps: { clock: Clock; entropy: Entropy },
): Promise<HttpsCredentials> {
  await mkdir(dir, { recursive: true });
  const ca = await createCertificateAuthority(deps.clock, deps.entropy);
  const server = await ca.issue('localhost', 'server');
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const signing = generateKeyPairSync('ed25519');
  const gateways = { [gateway]: { public_keys: [publicKey.export({ type: 'spki', format: 'pem' })] } };
  const write = async (name: string, text: string | Buffer): Promise<string> => {
    const file = join(dir, name);
    await writeFile(file, text, { mode: 0o600 });
    return file;
  };
  return {
    agent: {
      ca_file: await write('ca.pem', ca.ca),
      token_key_file: await write('gateway.key', privateKey.export({ type: 'pkcs8', format: 'pem' })),
    },
    router: {
      cert_file: await write('router.crt', server.cert),
      key_file: await write('router.key', server.key),
      gateways_file: await write('gateways.yaml', stringify({ gateways })),
    },
    receipts: {
      key_file: await write('receipts.key', signing.privateKey.export({ type: 'pkcs8', format: 'pem' })),
      router_keys_file: await write(
        'router-keys.pem',
        signing.publicKey.export({ type: 'spki', format: 'pem' }),
      ),
    },
  };
}
