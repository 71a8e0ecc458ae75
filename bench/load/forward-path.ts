/**
 * From the buffer to a provider, with nothing around it: the agent's store, routing, meter, forwarder and publisher, wired as in
 * agent/agent.ts but without broker and admin server. Each request fills a buffer, and measures its way out.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { serialize } from 'node:v8';
import { CredentialPublisher } from '../../agent/cloud/credentials/publisher.ts';
import type { OutboundEnvelope, Outcome, Publisher } from '../../agent/cloud/publisher.ts';
import { type AgentConfig, loadAgentConfig } from '../../agent/config.ts';
import { Meter } from '../../agent/cost/meter.ts';
import { meteredProviders, tariffNamed } from '../../agent/cost/tariffs.ts';
import { Forwarder } from '../../agent/forward/forwarder.ts';
import { LiveRouting } from '../../agent/forward/live-routing.ts';
import { Sender } from '../../agent/forward/sender.ts';
import { providerFacts } from '../../agent/provider-facts.ts';
import { Store } from '../../agent/store/store.ts';
import { storeLimits } from '../../agent/store-limits.ts';
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
  /** Where the envelopes go, for the other side to send again. */
  envelopesFile: string;
}

export interface Forwarded extends Spent {
  envelopes: number;
  /** Most that were under way at once. */
  inFlight: number;
}

const APPENDED_AT_ONCE = 1000;
const POLL_MS = 2;

const argument: ForwardArgument = JSON.parse(process.argv[2] ?? '');
const loaded = loadAgentConfig(argument.config);
if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
const config: AgentConfig = loaded.config;
const [provider] = config.providers;
if (!provider) throw new Error('no provider');
const log = createLogger({ level: 'warn', levels: {} }, process.stderr);
const envelopeClock: EnvelopeClock = { bootId: 'bench', offsetMs: 0, quality: 'synchronised' };

/** Kept over the runs, as an agent keeps it over days; remembers what passed. */
class Recorder implements Publisher {
  readonly #inner = new CredentialPublisher(config.providers[0] ?? fail(), {
    clock,
    log,
    trustedWallMs: () => clock.wallMs(),
  });
  readonly type = this.#inner.type;
  passed: OutboundEnvelope[] = [];
  inFlightMax = 0;
  lastAckMs = 0;
  #inFlight = 0;

  get maxEnvelopeBytes(): number {
    return this.#inner.maxEnvelopeBytes;
  }

  async publish(message: OutboundEnvelope, deadlineMs: number): Promise<Outcome> {
    this.passed.push(message);
    this.#inFlight += 1;
    this.inFlightMax = Math.max(this.inFlightMax, this.#inFlight);
    const outcome = await this.#inner.publish(message, deadlineMs);
    this.#inFlight -= 1;
    this.lastAckMs = clock.monoMs();
    return outcome;
  }

  /** The next run goes on with it. */
  close(): Promise<void> {
    return Promise.resolve();
  }
}

const publisher = new Recorder();

answerRequests<ForwardRequest, Forwarded>(async ({ records, envelopesFile }) => {
  const folder = mkdtempSync(join(argument.folder, 'forward-'));
  try {
    await fill(folder, records);
    const forwarded = await drain(folder);
    writeFileSync(envelopesFile, serialize(publisher.passed));
    return forwarded;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

function storeIn(folder: string): Store {
  const limits = storeLimits(config);
  return new Store({ file: join(folder, 'buffer.db'), bootId: 'bench', clock, entropy, log, limits });
}

/** As the broker would with many devices at once: commits of up to a thousand. */
async function fill(folder: string, records: number): Promise<void> {
  const store = storeIn(folder);
  const readings = seededEntropy(5);
  await store.start();
  for (let seq = 1; seq <= records; ) {
    const appended: Promise<unknown>[] = [];
    for (; seq <= records && appended.length < APPENDED_AT_ONCE; seq++) {
      appended.push(store.append({ stream: 'telemetry', ...readingOf(seq, seq * 5, readings) }));
    }
    await Promise.all(appended);
  }
  await store.stop();
}

async function drain(folder: string): Promise<Forwarded> {
  const store = storeIn(folder);
  await store.start();
  const { forwarder, meter, failed } = pathFrom(store, folder);
  await meter.start();
  Object.assign(publisher, { passed: [], inFlightMax: 0 });
  const cpuBefore = process.cpuUsage();
  const startMs = clock.monoMs();
  await forwarder.start();
  // Until the buffer knows that it is empty: an acknowledgement that is not written down is worth nothing.
  while ((await store.stats()).rows > 0 || forwarder.streams().some(({ pending }) => pending > 0)) {
    await clock.sleep(POLL_MS);
    if (failed() > 0) throw new Error(`${failed()} publishes failed: the machine is too busy to measure`);
  }
  const { user, system } = process.cpuUsage(cpuBefore);
  const wallMs = publisher.lastAckMs - startMs;
  await forwarder.stop();
  await meter.stop();
  await store.stop();
  const { passed, inFlightMax } = publisher;
  return { cpuMs: (user + system) / 1000, wallMs, envelopes: passed.length, inFlight: inFlightMax };
}

function pathFrom(
  store: Store,
  folder: string,
): { forwarder: Forwarder; meter: Meter; failed: () => number } {
  const { policy } = config;
  const name = config.providers[0]?.name ?? fail();
  const facts = config.providers.map((entry) => providerFacts(entry, tariffNamed(config, entry.name)));
  const routing = new LiveRouting({ policy, providers: facts, clock, log });
  const meter = new Meter({
    file: join(folder, 'usage.json'),
    providers: meteredProviders(config, config.providers),
    cost: policy.cost,
    isSynchronised: () => true,
    dispatch: (event) => routing.dispatch(event),
    clock,
    log,
  });
  const sender = new Sender({
    provider: name,
    publisher,
    routing,
    clock,
    log,
    count: (to, message, outcome) => meter.count(to, message, outcome),
    onOutcome: () => undefined,
  });
  const forwarder = new Forwarder({
    gateway: config.gateway,
    policy,
    store,
    routing,
    senders: new Map([[name, sender]]),
    currentClock: () => envelopeClock,
    clock,
    log,
  });
  return { forwarder, meter, failed: () => sender.counters.failed };
}

function fail(): never {
  throw new Error('no provider');
}
