/** JSON over HTTP to the demo's own processes on 127.0.0.1. */
import { createServer } from 'node:net';
import type { Clock } from '../shared/clock.ts';
import type { Entropy } from '../shared/entropy.ts';

const TIMEOUT_MS = 2000;
const POLL_MS = 100;

/** Rejects without a 2xx answer within two seconds. */
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

/**
 * Retries until success; rejects after `waitMs`, or at once when `broken` returns the reason of a permanent
 * failure.
 */
export async function waitFor(
  attempt: () => Promise<unknown>,
  waitMs: number,
  clock: Clock,
  what: string,
  broken: () => string | undefined,
): Promise<void> {
  const endsMs = clock.monoMs() + waitMs;
  for (;;) {
    try {
      await attempt();
      return;
    } catch (error) {
      const why = broken();
      if (why !== undefined) throw new Error(why);
      if (clock.monoMs() > endsMs)
        throw new Error(`${what} did not become ready within ${waitMs / 1000} s`, { cause: error });
      await clock.sleep(POLL_MS);
    }
  }
}

/**
 * Below the ports of outgoing connections (IANA: from 49152, Linux: from 32768), so that no connection uses
 * them by chance.
 */
const PORT_MIN = 20_000;
const PORT_MAX = 31_999;

/** Five different unused ports, which stay free while a demo process restarts. */
export async function fiveFreePorts(entropy: Entropy): Promise<[number, number, number, number, number]> {
  const ports = new Set<number>();
  while (ports.size < 5) {
    const port = PORT_MIN + Math.floor(entropy.float() * (PORT_MAX - PORT_MIN + 1));
    if (await isFree(port)) ports.add(port);
  }
  const [a = 0, b = 0, c = 0, d = 0, e = 0] = ports;
  return [a, b, c, d, e];
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
