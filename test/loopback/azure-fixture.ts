/** A loopback Azure for one test file, its CA on disk, and the pieces that most Azure tests need. */

import type { Test } from 'tap';
import { azureOptions } from '../../agent/providers/azure/options.ts';
import { type AzureDeps, openAzurePublisher } from '../../agent/providers/azure/publisher.ts';
import type { OutboundEnvelope, Outcome, Publisher } from '../../agent/providers/publisher.ts';
import { AzureCloud, type AzureCloudOptions } from '../../loopback/azure.ts';
import { type CertificateAuthority, createCertificateAuthority } from '../../loopback/ca.ts';
import type { CheckpointStore } from '../../router/ledger/checkpoints.ts';
import { eventHubsOptions } from '../../router/sources/event-hubs/options.ts';
import { EventHubsSource } from '../../router/sources/event-hubs/source.ts';
import type { Delivery, IntakeGate, Settlement, Source } from '../../router/sources/source.ts';
import { systemClock } from '../../shared/clock.ts';
import { systemEntropy } from '../../shared/entropy.ts';
import { createLogger, type Logger } from '../../shared/log.ts';
import { testDir } from '../test-dir.ts';

export const clock = systemClock;
export const entropy = systemEntropy;
export const log = createLogger({ level: 'silent', levels: {} });

export interface Fixture {
  cloud: AzureCloud;
  ca: CertificateAuthority;
  caFile: string;
}

export async function startAzure(t: Test, options: Partial<AzureCloudOptions> = {}): Promise<Fixture> {
  const ca = options.ca ?? (await createCertificateAuthority(clock, entropy));
  const caFile = options.caFile ?? `${testDir(t, { 'ca.pem': ca.ca })}/ca.pem`;
  const cloud = new AzureCloud({ clock, entropy, log, ...options, ca, caFile });
  await cloud.start();
  t.teardown(() => cloud.stop());
  return { cloud, ca, caFile };
}

/** Closed when the test ends. */
export async function openPublisher(
  t: Test,
  config: unknown,
  deps: Partial<AzureDeps> = {},
): Promise<Publisher> {
  const publisher = await openAzurePublisher(azureOptions.parse(config), { clock, log, ...deps });
  t.teardown(() => publisher.close());
  return publisher;
}

export function envelope(
  bytes: Uint8Array | string,
  gateway = 'gw-1',
  stream = 'vibration',
): OutboundEnvelope {
  return {
    gateway,
    stream,
    bytes: typeof bytes === 'string' ? Buffer.from(bytes) : bytes,
    properties: { hg: '1', gw: gateway, ep: '1-c0ffee', st: stream, first: '1', last: '3', n: '3' },
  };
}

/** `kind` or `kind/cause`: what the cases of a table compare. */
export function brief(outcome: Outcome): string {
  return 'cause' in outcome ? `${outcome.kind}/${outcome.cause}` : outcome.kind;
}

export function memoryCheckpoints(isMultiRouter = false): CheckpointStore & { saved: Map<string, string> } {
  const saved = new Map<string, string>();
  return {
    isMultiRouter,
    saved,
    loadCheckpoint: (source, key) => Promise.resolve(saved.get(`${source} ${key}`) ?? null),
    replaceCheckpoint: (source, key, from, to) => {
      if ((saved.get(`${source} ${key}`) ?? null) !== from) return Promise.resolve(false);
      saved.set(`${source} ${key}`, to);
      return Promise.resolve(true);
    },
  };
}

export interface Reading {
  source: Source;
  deliveries: Delivery[];
  /** Bodies, as text, in the order of delivery. */
  texts: () => string[];
}

export interface ReadingOptions {
  config: unknown;
  checkpoints?: CheckpointStore;
  watchdogMs?: number;
  leaseMs?: number;
  log?: Logger;
  gate?: IntakeGate;
  answer?: (text: string, times: number) => Settlement | Promise<Settlement>;
}

/** Starts a source whose handler settles everything, unless `answer` says otherwise. */
export async function startReading(t: Test, options: ReadingOptions): Promise<Reading> {
  const { config, checkpoints = memoryCheckpoints(), watchdogMs = 60_000, leaseMs = 15_000 } = options;
  const { answer = () => 'settle', log: given = log, gate } = options;
  const deps = { clock, entropy, log: given, checkpoints, watchdogMs, leaseMs, ...(gate && { gate }) };
  const source = new EventHubsSource('azure', eventHubsOptions.parse(config), deps);
  const deliveries: Delivery[] = [];
  const texts = (): string[] => deliveries.map(({ bytes }) => Buffer.from(bytes).toString());
  await source.start(async (delivery) => {
    deliveries.push(delivery);
    const text = Buffer.from(delivery.bytes).toString();
    return answer(text, texts().filter((other) => other === text).length);
  });
  t.teardown(() => source.stop());
  return { source, deliveries, texts };
}

export function withConnectionString(
  config: Record<string, unknown>,
  change: (text: string) => string,
): Record<string, unknown> {
  const credentials = JSON.parse(change(JSON.stringify(config['credentials'])));
  return { ...config, credentials };
}
