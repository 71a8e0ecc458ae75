/**
 * The path from the buffer to a provider: the agent's store, routing, meter, forwarder and publisher, wired
 * as in agent/agent.ts but without broker and admin server. Each request fills the buffer while the provider
 * is on hold, then measures the delivery.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { serialize } from 'node:v8';
import { loadAgentConfig } from '../../agent/config/config.ts';
import { providerFacts } from '../../agent/config/provider-facts.ts';
import { storeLimits } from '../../agent/config/store-options.ts';
import { Meter } from '../../agent/cost/meter.ts';
import { meteredProviders, tariffNamed } from '../../agent/cost/tariffs.ts';
import { Sender } from '../../agent/forward/delivery/sender.ts';
import { Forwarder } from '../../agent/forward/forwarder.ts';
import type { Lane } from '../../agent/forward/queue/lanes.ts';
import { CredentialPublisher } from '../../agent/providers/credentials/rotating-publisher.ts';
import type {
  OutboundEnvelope,
  Outcome,
  PublishAttempt,
  Publisher,
} from '../../agent/providers/publisher.ts';
import { LiveRouting } from '../../agent/routing/live-routing.ts';
import { Store } from '../../agent/store/store.ts';
import { systemClock as clock } from '../../shared/clock.ts';
import { systemEntropy as entropy, seededEntropy } from '../../shared/entropy.ts';
import type { EnvelopeClock } from '../../shared/envelope/envelope.ts';
import { createLogger } from '../../shared/log.ts';
import { answerRequests, type Spent } from './peer.ts';
import { readingOf } from './readings.ts';

export interface ForwardArgument {
  /** An agent.yaml with one provider. */
  config: string;
  folder: string;
}

export interface ForwardRequest {
  records: number;
  /**
   * `live`: records leave at once, in envelopes of one metering unit. `backlog`: records wait first, and
   * leave in large envelopes.
   */
  lane: Lane;
  /** File of the sent envelopes, for the other side of the comparison. */
  envelopesFile: string;
}

export interface Forwarded extends Spent {
  envelopes: number;
  /** Most envelopes in flight at one time. */
  inFlight: number;
}

const APPENDED_AT_ONCE = 1000;
const POLL_MS = 10;
/** After five seconds of waiting, the forwarder counts a record as backlog. */
const BACKLOG_AFTER_MS = 5500;

const argument: ForwardArgument = JSON.parse(process.argv[2] ?? '');
const loaded = loadAgentConfig(argument.config);
if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
const { config } = loaded;
const provider = config.providers[0] ?? fail();
const log = createLogger({ level: 'warn', levels: {} }, process.stderr);
const envelopeClock: EnvelopeClock = { bootId: 'bench', offsetMs: 0, quality: 'synchronised' };

/** Records the published envelopes. */
class Recorder implements Publisher {
  readonly #inner = new CredentialPublisher(provider, { clock, log, trustedWallMs: () => clock.wallMs() });
  readonly type = this.#inner.type;
  passed: OutboundEnvelope[] = [];
  inFlightMax = 0;
  lastAckMs = 0;
  #inFlight = 0;

  get maxEnvelopeBytes(): number {
    return this.#inner.maxEnvelopeBytes;
  }

  async publish(message: OutboundEnvelope, attempt: PublishAttempt): Promise<Outcome> {
    this.passed.push(message);
    this.#inFlight += 1;
    this.inFlightMax = Math.max(this.inFlightMax, this.#inFlight);
    const outcome = await this.#inner.publish(message, attempt);
    this.#inFlight -= 1;
    this.lastAckMs = clock.monoMs();
    return outcome;
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}

const { policy } = config;
const publisher = new Recorder();
const store = new Store({
  file: join(argument.folder, `${provider.name}.db`),
  bootId: 'bench',
  clock,
  entropy,
  log,
  limits: storeLimits(config),
});
const facts = providerFacts(provider, tariffNamed(config, provider.name));
const routing = new LiveRouting({ policy, providers: [facts], clock, log });
const meter = new Meter({
  file: join(argument.folder, `${provider.name}-usage.json`),
  providers: meteredProviders(config, config.providers),
  cost: policy.cost,
  isSynchronised: () => true,
  dispatch: (event) => routing.dispatch(event),
  clock,
  log,
});
const sender = new Sender({
  provider: provider.name,
  publisher,
  routing,
  clock,
  log,
  count: (name, message, outcome) => meter.count(name, message, outcome),
  onOutcome: () => undefined,
});
const forwarder = new Forwarder({
  gateway: config.gateway,
  policy,
  store,
  routing,
  senders: new Map([[provider.name, sender]]),
  currentClock: () => envelopeClock,
  clock,
  log,
});
const readings = seededEntropy(5);
const started = [store, meter, forwarder].reduce(
  (before, service) => before.then(() => service.start()),
  Promise.resolve(),
);

answerRequests<ForwardRequest, Forwarded>(async ({ records, lane, envelopesFile }) => {
  await started;
  hold('hold');
  await fill(records);
  if (lane === 'backlog') await clock.sleep(BACKLOG_AFTER_MS);
  const forwarded = await drain();
  writeFileSync(envelopesFile, serialize(publisher.passed));
  return forwarded;
});

function hold(kind: 'hold' | 'release'): void {
  routing.dispatch({ kind, provider: facts.name, reason: 'manual' });
}

/** Fills the buffer like a broker with many devices: in commits of up to a thousand records. */
async function fill(records: number): Promise<void> {
  for (let seq = 1; seq <= records; ) {
    const appended: Promise<unknown>[] = [];
    for (; seq <= records && appended.length < APPENDED_AT_ONCE; seq++) {
      appended.push(store.append({ stream: 'telemetry', ...readingOf(seq, seq * 5, readings) }));
    }
    await Promise.all(appended);
  }
}

async function drain(): Promise<Forwarded> {
  Object.assign(publisher, { passed: [], inFlightMax: 0 });
  const failedBefore = sender.counters.failed;
  const cpuBefore = process.cpuUsage();
  const startMs = clock.monoMs();
  hold('release');
  // Waits until the buffer is empty: an acknowledgement counts only once it is stored.
  while (forwarder.streams().some(({ pending }) => pending > 0) || (await store.stats()).rows > 0) {
    await clock.sleep(POLL_MS);
    if (sender.counters.failed > failedBefore) throw new Error('a publish failed: the machine is too busy');
  }
  const { user, system } = process.cpuUsage(cpuBefore);
  const { passed, inFlightMax, lastAckMs } = publisher;
  return {
    cpuMs: (user + system) / 1000,
    wallMs: lastAckMs - startMs,
    envelopes: passed.length,
    inFlight: inFlightMax,
  };
}

function fail(): never {
  throw new Error('no provider');
}
