/**
 * A provider's behaviour, as a case writes it: `ok 80ms`, `loss 30%`, `refuse for 5s, ok for 10s`, … The
 * grammar is in docs/how-to/routing-cases.md.
 */
import type { Outcome } from '../../agent/providers/publisher.ts';
import { duration } from '../../shared/config/kinds.ts';
import type { Entropy } from '../../shared/entropy.ts';
import { type Behaviour, blackhole, refuse } from '../agent/routing/core/world.ts';

/** The result of a try that starts now. `sinceMs`: time since this weather began. */
export type Weather = (sinceMs: number, entropy: Entropy) => Behaviour;

/** Without a latency of its own an acceptance takes this long. */
const USUAL_LATENCY_MS = 20;
const FAILURE_LATENCY_MS = 5;
/** As late as a hub acknowledges what is above its limit, before it cuts the connection. */
const SHAPED_LATENCY_MS = 1750;

const FAILURES: Readonly<Record<string, Outcome>> = {
  tls: { kind: 'retryable', cause: 'tls', detail: '' },
  reset: { kind: 'retryable', cause: 'connection-reset', detail: '' },
  error: { kind: 'retryable', cause: 'server-error', detail: '' },
  unavailable: { kind: 'retryable', cause: 'unavailable', detail: '' },
  lost: { kind: 'unknown', cause: 'connection-lost', detail: '' },
  unauthorized: { kind: 'rejected', scope: 'provider', cause: 'unauthorized', detail: '' },
  'too-large': { kind: 'rejected', scope: 'envelope', cause: 'too-large', detail: '' },
};

/** Throws an error that names the text when it is not weather. */
export function weatherOf(text: string): Weather {
  const parts = text.split(', ');
  if (parts.length === 1 && !text.includes(' for ')) return steady(text);
  const spells = parts.map((part) => {
    const [what = '', length = ''] = part.split(' for ');
    return { weather: steady(what), lengthMs: milliseconds(length) };
  });
  const cycleMs = spells.reduce((sum, { lengthMs }) => sum + lengthMs, 0);
  return (sinceMs, entropy) => {
    let restMs = sinceMs % cycleMs;
    for (const { weather, lengthMs } of spells) {
      if (restMs < lengthMs) return weather(restMs, entropy);
      restMs -= lengthMs;
    }
    return blackhole;
  };
}

function steady(text: string): Weather {
  const [word = '', ...rest] = text.split(' ');
  const known = FAILURES[word];
  if (known && rest.length === 0) return () => fails(known);
  switch (word) {
    case 'ok':
      return accepts(rest[0]);
    case 'blackhole':
      return () => blackhole;
    case 'shaped':
      return () => ({ kind: 'accept', latencyMs: SHAPED_LATENCY_MS, cut: 'late' });
    case 'cut':
      return () => ({
        ...fails({ kind: 'unknown', cause: 'connection-lost', detail: '' }),
        cut: 'unanswered',
      });
    case 'refuse':
      return () => refuse;
    case 'throttle': {
      const retryAfterMs = rest[0] === undefined ? null : milliseconds(rest[0]);
      return () => fails({ kind: 'throttled', retryAfterMs, detail: '' });
    }
    case 'loss': {
      const share = Number.parseFloat(rest[0] ?? '') / 100;
      const otherwise = accepts(rest[1]);
      if (!(share >= 0 && share <= 1)) break;
      return (sinceMs, entropy) => (entropy.float() < share ? blackhole : otherwise(sinceMs, entropy));
    }
    case 'ramp':
      return ramp(rest);
  }
  throw new Error(`not weather: "${text}"`);
}

/** `ramp 20ms to 2s over 60s`: then it stays. */
function ramp([from = '', , to = '', , over = '']: string[]): Weather {
  const [fromMs, toMs, overMs] = [milliseconds(from), milliseconds(to), milliseconds(over)];
  return (sinceMs) => ({
    kind: 'accept',
    latencyMs: fromMs + (toMs - fromMs) * Math.min(1, sinceMs / overMs),
  });
}

function accepts(latency: string | undefined): Weather {
  const latencyMs = latency === undefined ? USUAL_LATENCY_MS : milliseconds(latency);
  return () => ({ kind: 'accept', latencyMs });
}

function fails(outcome: Outcome): Behaviour {
  return { kind: 'fail', outcome, latencyMs: FAILURE_LATENCY_MS };
}

function milliseconds(text: string): number {
  return duration().parse(text);
}
