/** JSON over HTTP to the demo's own processes on 127.0.0.1. */
import { createServer } from 'node:net';
import type { Clock } from '../shared/clock.ts';

const TIMEOUT_MS = 2000;
const POLL_MS = 100;

/** Rejects on anything but a 2xx answer within two seconds. */
export async function getJson(url: string): Promise<unknown> {
  return request(url, {});
}

export async function sendJson(method: 'PUT' | 'DELETE', url: string, body?: unknown): Promise<unknown> {
  if (body === undefined) return request(url, { method });
  return request(url, {
    method,
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json' },
  });
}

async function request(url: string, init: RequestInit): Promise<unknown> {
  const response = await fetch(url, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`);
  return response.json();
}

/** Tries until it succeeds; rejects after `waitMs` with the last error. */
export async function waitFor(
  attempt: () => Promise<unknown>,
  waitMs: number,
  clock: Clock,
  what: string,
): Promise<void> {
  const endsMs = clock.monoMs() + waitMs;
  for (;;) {
    try {
      await attempt();
      return;
    } catch (error) {
      if (clock.monoMs() > endsMs)
        throw new Error(`${what} did not become ready within ${waitMs / 1000} s`, { cause: error });
      await clock.sleep(POLL_MS);
    }
  }
}

/** Ports that were free a moment ago, all different. */
export async function fourFreePorts(): Promise<[number, number, number, number]> {
  const servers = await Promise.all(
    Array.from({ length: 4 }, () => {
      const server = createServer();
      return new Promise<typeof server>((resolve, reject) => {
        server.once('error', reject);
        server.listen(0, '127.0.0.1', () => resolve(server));
      });
    }),
  );
  const ports = servers.map((server) => {
    const address = server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  });
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  const [a = 0, b = 0, c = 0, d = 0] = ports;
  return [a, b, c, d];
}
