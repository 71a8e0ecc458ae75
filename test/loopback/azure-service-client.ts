/** Requests to the service API of a loopback hub, as a cloud program makes them. */
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { hubToken, parsePolicy } from '../../router/receipts/hub-token.ts';
import { clock, type Fixture } from './azure-fixture.ts';

export const TWIN = '/twins/gw-1?api-version=2021-04-12';

export interface Asked {
  method?: string;
  path?: string;
  token?: string;
  body?: unknown;
}

export function tokenOf({ cloud }: Fixture) {
  const text = /HostName=[^"]+/.exec(JSON.stringify(cloud.twinConfig()))?.[0] ?? '';
  const policy = parsePolicy(text);
  if (!policy) throw new Error(`no connection string: ${text}`);
  return { address: policy.address, token: hubToken(policy, clock.wallMs()) };
}

export function ask(fixture: Fixture, asked: Asked): Promise<{ status: number; body: unknown }> {
  const { address, token } = tokenOf(fixture);
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; body: unknown }>();
  const sending = request(
    `https://${address}${asked.path ?? TWIN}`,
    {
      method: asked.method ?? 'PATCH',
      ca: readFileSync(fixture.caFile),
      agent: false,
      headers: { authorization: asked.token ?? token },
    },
    (answer) => {
      let body = '';
      answer.on('data', (chunk) => {
        body += chunk;
      });
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body: JSON.parse(body) }));
    },
  );
  sending.on('error', reject);
  sending.end(asked.body === undefined ? '' : JSON.stringify(asked.body));
  return promise;
}
