import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { type AwsOptions, awsOptions } from '../../agent/providers/aws/options.ts';
import { AwsCloud } from '../../loopback/aws.ts';
import { createCertificateAuthority } from '../../loopback/ca.ts';
import { type SqsOptions, sqsOptions } from '../../router/sources/sqs/options.ts';
import { type Clock, systemClock } from '../../shared/clock.ts';
import { seededEntropy } from '../../shared/entropy.ts';
import { createLogger } from '../../shared/log.ts';

export const silent = createLogger({ level: 'silent', levels: {} });

export interface RunningAws {
  cloud: AwsCloud;
  agent: AwsOptions;
  router: SqsOptions;
}

/** A loopback AWS that ends with the test. `clock` is the cloud's; certificates follow the machine's. */
export async function startAws(t: Test, clock: Clock = systemClock): Promise<RunningAws> {
  const directory = await mkdtemp(join(tmpdir(), 'headgate-aws-'));
  const caFile = join(directory, 'ca.pem');
  const ca = await createCertificateAuthority(systemClock, seededEntropy(1));
  await writeFile(caFile, ca.ca);
  const cloud = new AwsCloud({ ca, caFile, clock, entropy: seededEntropy(2), log: silent });
  t.teardown(async () => {
    await cloud.stop();
    await rm(directory, { recursive: true });
  });
  await cloud.start();
  const { name: _agent, type: _aws, ...agent } = cloud.agentConfig('gw-1');
  const { name: _router, type: _sqs, ...router } = cloud.routerConfig();
  return { cloud, agent: awsOptions.parse(agent), router: sqsOptions.parse(router) };
}
