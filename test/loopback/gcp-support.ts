/**
 * Common parts of the Pub/Sub tests: a loopback Pub/Sub with its CA on disk, and the options its configs
 * parse to.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { type GcpOptions, gcpOptions } from '../../agent/providers/gcp/options.ts';
import type { OutboundEnvelope } from '../../agent/providers/publisher.ts';
import { createCertificateAuthority } from '../../loopback/ca.ts';
import type { Cloud } from '../../loopback/cloud.ts';
import { GcpCloud } from '../../loopback/gcp.ts';
import { type PubSubOptions, pubsubOptions } from '../../router/sources/pubsub/options.ts';
import { type Clock, systemClock as clock } from '../../shared/clock.ts';
import { systemEntropy as entropy } from '../../shared/entropy.ts';
import { createLogger } from '../../shared/log.ts';
import { testDir } from '../test-dir.ts';

export const log = createLogger({ level: 'silent', levels: {} });
export const deps = { clock, entropy, log };

export interface GcpFixture {
  cloud: Cloud;
  /** Of the test, for files of its own. */
  directory: string;
  agent: GcpOptions;
  router: PubSubOptions;
}

/** Stopped when the test ends. `cloudClock` is the cloud's own. */
export async function startGcp(t: Test, insecure = false, cloudClock: Clock = clock): Promise<GcpFixture> {
  const ca = await createCertificateAuthority(clock, entropy);
  const directory = testDir(t);
  const caFile = join(directory, 'ca.pem');
  writeFileSync(caFile, ca.ca);
  const cloud = new GcpCloud({ ca, caFile, insecure, ...deps, clock: cloudClock });
  await cloud.start();
  t.after(() => cloud.stop());
  const { name: _agent, type: _gcp, ...agent } = cloud.agentConfig('gw-1');
  const { name: _router, type: _pubsub, ...router } = cloud.routerConfig();
  return { cloud, directory, agent: gcpOptions.parse(agent), router: pubsubOptions.parse(router) };
}

export function envelope(text: string | Uint8Array, stream = 'vitals'): OutboundEnvelope {
  const properties = { hg: '1', gw: 'gw-1', ep: '1-ab', st: stream, first: '1', last: '1', n: '1' };
  return { gateway: 'gw-1', stream, bytes: Buffer.from(text), properties };
}
