/**
 * STS on 127.0.0.1: AssumeRoleWithWebIdentity ("AWS Security Token Service API reference"), which the SDK's
 * default chain asks where the environment names a role. Any web identity is good enough here.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, isoTime } from '../../shared/clock.ts';
import type { Entropy } from '../../shared/entropy.ts';
import { CredentialService } from '../credential-service.ts';
import type { AwsSession } from './sigv4.ts';

const ROLE = 'arn:aws:iam::000000000000:role/headgate';
/** Sessions that are over are dropped above this number. */
const SESSIONS_MAX = 1000;

interface StsOptions {
  /** Filled with the sessions that it begins, by the id of their access key. */
  sessions: Map<string, AwsSession>;
  lifetimeMs: number;
  clock: Clock;
  entropy: Entropy;
}

export class Sts extends CredentialService {
  constructor({ sessions, lifetimeMs, clock, entropy }: StsOptions) {
    super(() => {
      const hex = (bytes: number): string => Buffer.from(entropy.bytes(bytes)).toString('hex');
      const accessKeyId = `ASIA${hex(8).toUpperCase()}`;
      const session = {
        accessKeyId,
        secretAccessKey: hex(20),
        token: hex(40),
        expiresMs: clock.wallMs() + lifetimeMs,
      };
      const [oldest] = sessions.keys();
      if (sessions.size >= SESSIONS_MAX && oldest !== undefined) sessions.delete(oldest);
      sessions.set(accessKeyId, session);
      return { type: 'text/xml', body: answer(session) };
    });
  }

  /** The environment with which the SDK's default chain takes the role. Writes the identity into `dir`. */
  async environment(dir: string): Promise<Record<string, string>> {
    const file = join(dir, 'web-identity');
    await writeFile(file, 'a web identity', { mode: 0o600 });
    return {
      AWS_WEB_IDENTITY_TOKEN_FILE: file,
      AWS_ROLE_ARN: ROLE,
      AWS_ENDPOINT_URL_STS: `http://127.0.0.1:${this.port}`,
      AWS_CONFIG_FILE: '/nonexistent',
      AWS_SHARED_CREDENTIALS_FILE: '/nonexistent',
      AWS_EC2_METADATA_DISABLED: 'true',
    };
  }
}

function answer({ accessKeyId, secretAccessKey, token, expiresMs }: AwsSession): string {
  return `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>${accessKeyId}</AccessKeyId>
<SecretAccessKey>${secretAccessKey}</SecretAccessKey><SessionToken>${token}</SessionToken>
<Expiration>${isoTime(expiresMs)}</Expiration></Credentials>
<AssumedRoleUser><Arn>${ROLE}/headgate</Arn><AssumedRoleId>AROA:headgate</AssumedRoleId></AssumedRoleUser>
</AssumeRoleWithWebIdentityResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>
</AssumeRoleWithWebIdentityResponse>`;
}
