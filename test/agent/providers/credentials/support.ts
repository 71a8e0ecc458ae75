/**
 * A provider's credentials against loopback clouds: the publisher with its log kept, and a wall clock set by
 * hand.
 */
import type { Test } from 'tap';
import { agentConfigSchema } from '../../../../agent/config/config.ts';
import { CredentialPublisher } from '../../../../agent/providers/credentials/rotating-publisher.ts';
import type { OutboundEnvelope, Outcome } from '../../../../agent/providers/publisher.ts';
import type { ProviderConfig } from '../../../../agent/providers/types.ts';
import { type Clock, systemClock } from '../../../../shared/clock.ts';
import { createLogger } from '../../../../shared/log.ts';
import { attempt } from '../../../attempt.ts';
import { turns } from '../../../turns.ts';

export interface Opened {
  publisher: CredentialPublisher;
  /** As written, to search for secrets. */
  lines: string[];
  /** `slot state` of each `cloud.credentials` line. */
  told(): string[];
  /** Null: not synchronised. At first it is not. */
  setWall(wallMs: number | null): void;
}

export function open(t: Test, entry: Record<string, unknown>, clock: Clock = systemClock): Opened {
  const lines: string[] = [];
  const log = createLogger({ level: 'debug', levels: {} }, { write: (line) => lines.push(line) });
  let trusted: number | null = null;
  const publisher = new CredentialPublisher(provider(entry), {
    clock,
    log,
    trustedWallMs: () => trusted,
    lookEveryMs: 20,
  });
  t.teardown(() => publisher.close());
  return {
    publisher,
    lines,
    told: () =>
      lines
        .map((line) => JSON.parse(line))
        .filter(({ event }) => event === 'cloud.credentials')
        .map(({ slot, state }) => `${slot} ${state}`),
    setWall: (wallMs) => {
      trusted = wallMs;
    },
  };
}

/** An entry as the configuration's schema makes it. */
function provider(entry: Record<string, unknown>): ProviderConfig {
  const { providers } = agentConfigSchema.parse({ gateway: 'gw-1', data_dir: '/unused', providers: [entry] });
  const [first] = providers;
  if (!first) throw new Error('no provider');
  return first;
}

export function envelope(text = 'x', gateway = 'gw-1'): OutboundEnvelope {
  const properties = { hg: '1', gw: gateway, ep: '1-ab', st: 'metrics', first: '1', last: '1', n: '1' };
  return { gateway, stream: 'metrics', bytes: Buffer.from(text), properties };
}

/** Publishes from `workers` sides at once until `isOver`; all outcomes. */
export async function publishUntil(
  { publisher }: Opened,
  workers: number,
  isOver: () => boolean,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  const work = async (): Promise<void> => {
    while (!isOver()) {
      const outcome = await publisher.publish(envelope(), attempt(5000));
      outcomes.push(outcome);
      // Some are answered at once: the sockets need their turn.
      if (outcome.kind !== 'accepted') await turns(1);
    }
  };
  await Promise.all(Array.from({ length: workers }, work));
  return outcomes;
}

/** `accepted`, or kind and cause. */
export function brief(outcome: Outcome): string {
  return 'cause' in outcome ? `${outcome.kind}/${outcome.cause}` : outcome.kind;
}
