/**
 * A token endpoint on 127.0.0.1: the token exchange of workload identity federation (RFC 8693; Google's "STS
 * API, Method: token"). Any subject token is good enough here.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../shared/clock.ts';
import type { Entropy } from '../../shared/entropy.ts';
import { CredentialService } from '../credential-service.ts';

/** Tokens that are over are dropped above this number. */
const TOKENS_MAX = 1000;

interface TokenEndpointOptions {
  /** Filled with the access tokens and the wall time of their end. */
  tokens: Map<string, number>;
  lifetimeMs: number;
  clock: Clock;
  entropy: Entropy;
}

export class TokenEndpoint extends CredentialService {
  constructor({ tokens, lifetimeMs, clock, entropy }: TokenEndpointOptions) {
    super(() => {
      const token = `ya29.${Buffer.from(entropy.bytes(40)).toString('base64url')}`;
      const [oldest] = tokens.keys();
      if (tokens.size >= TOKENS_MAX && oldest !== undefined) tokens.delete(oldest);
      tokens.set(token, clock.wallMs() + lifetimeMs);
      const body = {
        access_token: token,
        issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
        token_type: 'Bearer',
        expires_in: Math.round(lifetimeMs / 1000),
      };
      return { type: 'application/json', body: JSON.stringify(body) };
    });
  }

  /** The environment of application default credentials. Writes their file into `dir`. */
  async environment(dir: string): Promise<Record<string, string>> {
    const [file, subject] = [join(dir, 'application-default.json'), join(dir, 'subject-token')];
    const credentials = {
      type: 'external_account',
      audience: '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q',
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      token_url: `http://127.0.0.1:${this.port}/v1/token`,
      credential_source: { file: subject },
    };
    await writeFile(subject, 'a subject token', { mode: 0o600 });
    await writeFile(file, JSON.stringify(credentials), { mode: 0o600 });
    return { GOOGLE_APPLICATION_CREDENTIALS: file };
  }
}
