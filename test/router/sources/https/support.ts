/**
 * A router's HTTPS endpoint over a real ledger, with an authority, server files and gateways' keys on disk.
 */

import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import type { Test } from 'tap';
import { stringify } from 'yaml';
import { type CertificateAuthority, createCertificateAuthority } from '../../../../loopback/ca.ts';
import { Ingest } from '../../../../router/ingest/ingest.ts';
import type { Ledger } from '../../../../router/ledger/ledger.ts';
import { openSqliteLedger } from '../../../../router/ledger/sqlite/engine.ts';
import type { LedgerEntry } from '../../../../router/ledger/types.ts';
import { Receipts } from '../../../../router/receipts/receipts.ts';
import { httpsSourceOptions } from '../../../../router/sources/https/options.ts';
import { HttpsSource } from '../../../../router/sources/https/source.ts';
import { type DeliveryHandler, type IntakeGate, OPEN_GATE } from '../../../../router/sources/source.ts';
import type { Clock } from '../../../../shared/clock.ts';
import { encodeEnvelope } from '../../../../shared/envelope/codec.ts';
import { deps } from '../../../loopback/gcp-support.ts';
import { testDir } from '../../../test-dir.ts';
import { envelope } from '../../ledger/envelopes.ts';
import { FORM_WITH_COPY } from '../../receipts/support.ts';

export interface ApiFixture {
  source: HttpsSource;
  ledger: Ledger;
  ca: CertificateAuthority;
  directory: string;
  caFile: string;
  url: string;
  /** A client certificate with its key, as files. */
  certificate(
    commonName: string,
    authority?: CertificateAuthority,
  ): Promise<{ cert_file: string; key_file: string }>;
  /** Private key file of a gateway that is registered. */
  keyFile(gateway: string): string;
  /** Registers these gateways anew. */
  register(gateways: Record<string, KeyObject>): void;
}

export interface ApiSetup {
  options?: Record<string, unknown>;
  /** In place of the ingest. */
  handler?: DeliveryHandler;
  gate?: IntakeGate;
  /** Of the receipts: how long a poll is held. */
  clock?: Clock;
  /** Of the source itself. */
  sourceClock?: Clock;
  bodySilenceMs?: number;
}

/** Shortest time between two receipts for one gateway. */
export const RECEIPT_INTERVAL_MS = 100;

/** Gateways `gw-1` (Ed25519) and `gw-2` (P-256) are registered. Stopped when the test ends. */
export async function startApi(
  t: Test,
  {
    options = {},
    handler,
    gate = OPEN_GATE,
    clock = deps.clock,
    sourceClock = deps.clock,
    ...rest
  }: ApiSetup = {},
): Promise<ApiFixture> {
  const directory = testDir(t);
  const ca = await createCertificateAuthority(deps.clock, deps.entropy);
  const caFile = write(directory, 'ca.pem', ca.ca);
  const server = await ca.issue('localhost', 'server');
  const gatewaysFile = join(directory, 'gateways.yaml');
  const register = (gateways: Record<string, KeyObject>): void => {
    const entries = Object.entries(gateways).map(([name, key]) => {
      const pem = key.export({ type: 'spki', format: 'pem' });
      return [name, { public_keys: [pem] }];
    });
    writeFileSync(gatewaysFile, stringify({ gateways: Object.fromEntries(entries) }));
  };
  const pairs = { 'gw-1': generateKeyPairSync('ed25519'), 'gw-2': p256() };
  register({ 'gw-1': pairs['gw-1'].publicKey, 'gw-2': pairs['gw-2'].publicKey });
  for (const [name, { privateKey }] of Object.entries(pairs)) writeKey(directory, name, privateKey);
  const ledger = await openSqliteLedger({ file: join(directory, 'ledger.db'), ...deps });
  const parsed = httpsSourceOptions.parse({
    port: 0,
    cert_file: write(directory, 'server.crt', server.cert),
    key_file: write(directory, 'server.key', server.key),
    client_ca_file: caFile,
    gateways_file: gatewaysFile,
    ...options,
  });
  const receipts = new Receipts({ ledger, clock, intervalMs: RECEIPT_INTERVAL_MS });
  const source = new HttpsSource('private', parsed, {
    ...deps,
    clock: sourceClock,
    gate,
    receipts,
    form: FORM_WITH_COPY,
    ...rest,
  });
  const onCommit = (entries: readonly LedgerEntry[]): void =>
    receipts.committed(entries.map(({ envelope }) => envelope));
  const ingest = new Ingest({ ledger, ...deps, onCommit });
  await source.start(handler ?? ingest.handler);
  let port = source.state().connected ? source.port() : 0;
  t.after(async () => {
    await source.stop();
    await ingest.drain();
    await ledger.close();
  });
  return {
    source,
    ledger,
    ca,
    directory,
    caFile,
    /** Also after it has stopped. */
    get url() {
      if (source.state().connected) port = source.port();
      return `https://localhost:${port}`;
    },
    async certificate(commonName, authority = ca) {
      const issued = await authority.issue(commonName, 'client');
      return {
        cert_file: write(directory, `${commonName}.crt`, issued.cert),
        key_file: write(directory, `${commonName}.key`, issued.key),
      };
    },
    keyFile: (gateway) => join(directory, `${gateway}.token.key`),
    register,
  };
}

export function p256(): { publicKey: KeyObject; privateKey: KeyObject } {
  return generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
}

export function writeKey(directory: string, name: string, key: KeyObject): string {
  const pem = key.export({ type: 'pkcs8', format: 'pem' }).toString();
  return write(directory, `${name}.token.key`, pem);
}

export function write(directory: string, name: string, text: string): string {
  const file = join(directory, name);
  writeFileSync(file, text);
  return file;
}

export interface Reply {
  status: number;
  headers: Record<string, unknown>;
  body: Record<string, unknown>;
}

export interface Ask {
  method?: string;
  path?: string;
  headers?: Record<string, string>;
  body?: Uint8Array;
  certificate?: { cert_file: string; key_file: string };
}

/** One request on a connection of its own. */
export function ask(
  { url, ca }: ApiFixture,
  { method = 'POST', path = '/v1/envelopes', headers = {}, body, certificate }: Ask,
) {
  const tls = certificate && {
    cert: readFileSync(certificate.cert_file),
    key: readFileSync(certificate.key_file),
  };
  const { promise, resolve, reject } = Promise.withResolvers<Reply>();
  const outgoing = request(
    new URL(path, url),
    { ca: ca.ca, method, headers, ...tls, agent: false },
    (incoming) => {
      let text = '';
      incoming.on('data', (chunk) => {
        text += chunk;
      });
      incoming.on('end', () =>
        resolve({
          status: incoming.statusCode ?? 0,
          headers: incoming.headers,
          body: text === '' ? {} : JSON.parse(text),
        }),
      );
    },
  );
  outgoing.on('error', reject);
  outgoing.end(body);
  return promise;
}

/** Of `gw-1` unless told. */
export function bytesOf(seqs: number[], gateway = 'gw-1'): Uint8Array {
  return encodeEnvelope({ ...envelope({ seqs }), gateway });
}
