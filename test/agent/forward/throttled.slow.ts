/**
 * Each type of provider over its SDK and real sockets, against a cloud that asks to slow down: the agent
 * waits as long as it is asked, or by its own pauses, names the cause, and goes on with nothing lost (SPEC
 * 6).
 */
import t, { type Test } from 'tap';
import { openAwsPublisher } from '../../../agent/providers/aws/publisher.ts';
import { openGcpPublisher } from '../../../agent/providers/gcp/publisher.ts';
import { httpsOptions } from '../../../agent/providers/https/options.ts';
import { openHttpsPublisher } from '../../../agent/providers/https/publisher.ts';
import { mqttOptions } from '../../../agent/providers/mqtt/options.ts';
import { openMqttPublisher } from '../../../agent/providers/mqtt/publisher.ts';
import type { Publisher } from '../../../agent/providers/publisher.ts';
import { fault } from '../../../loopback/faults.ts';
import type { Clock } from '../../../shared/clock.ts';
import { ForwardClock } from '../../forward-clock.ts';
import { log, startGcp } from '../../loopback/gcp-support.ts';
import { startAws } from '../../loopback/start-aws.ts';
import { startApi } from '../../router/sources/https/support.ts';
import { testDir } from '../../test-dir.ts';
import { until } from '../../until.ts';
import { startBroker } from '../providers/mqtt/support.ts';
import { appendAll, bufferFile, texts } from '../store/fixture.ts';
import { agentOn, drained } from './fixture.ts';

/** Counts the ticks of routing and forwarding, which come quickly. */
class TickingClock extends ForwardClock {
  ticks = 0;

  constructor() {
    super({ periodMsMax: 20 });
  }

  override every(periodMs: number, run: () => void) {
    return super.every(periodMs, () => {
      this.ticks += 1;
      run();
    });
  }
}

interface Throttling {
  open(clock: Clock): Promise<Publisher>;
  throttle(on: boolean): Promise<unknown> | unknown;
  /** Requests that reached the cloud; null where it does not count them. */
  requests(): number | null;
}

interface Case {
  start(t: Test): Promise<Throttling>;
  /** In status, explain and the metric `headgate_provider_fault`. */
  cause: string;
  /** Why routing holds the provider to be open. */
  reason: string;
  /** The first pause, and the pause after a probe that is throttled too. */
  pausesMs: [number, number];
}

/** Where the cloud does not say how long. */
const OWN_PAUSE_MS = 20_000;
const ASKED_MS = 40_000;
const failover = {
  failures_to_open: 2,
  open_for: `${OWN_PAUSE_MS}ms`,
  open_max: `${2 * OWN_PAUSE_MS}ms`,
  probes_to_close: 1,
};

function aws(retryAfterMs: number | null): Case['start'] {
  return async (t) => {
    const { cloud, agent } = await startAws(t);
    return {
      open: (clock) => openAwsPublisher(agent, { clock, log }),
      throttle: (on) => cloud.setFault(on ? fault('throttle', { retryAfterMs }) : null),
      requests: () => cloud.meter().requests,
    };
  };
}

function gcp(retryAfterMs: number | null): Case['start'] {
  return async (t) => {
    const { cloud, agent } = await startGcp(t);
    return {
      open: (clock) => openGcpPublisher(agent, { clock, log }),
      throttle: (on) => cloud.setFault(on ? fault('throttle', { retryAfterMs }) : null),
      requests: () => cloud.meter().requests,
    };
  };
}

async function router(t: Test): Promise<Throttling> {
  let [isThrottling, requests] = [false, 0];
  const api = await startApi(t, {
    async handler({ mayWait }) {
      requests += 1;
      return isThrottling && mayWait?.(ASKED_MS) ? 'later' : 'settle';
    },
  });
  const login = { ca_file: api.caFile, token_key_file: api.keyFile('gw-1') };
  return {
    open: (clock) => openHttpsPublisher(httpsOptions.parse({ url: api.url, ...login }), { clock }),
    throttle(on) {
      isThrottling = on;
    },
    requests: () => requests,
  };
}

async function mqtt(t: Test): Promise<Throttling> {
  const broker = await startBroker(t);
  const options = mqttOptions.parse({ url: `mqtt://127.0.0.1:${broker.port}` });
  return {
    open: (clock) => openMqttPublisher(options, { clock, log }),
    async throttle(on) {
      broker.refuse(on ? 3 : 0);
      await broker.down();
      await broker.up();
    },
    requests: () => null,
  };
}

const throttledFor = (firstMs: number, nextMs: number) => ({
  cause: 'throttled',
  reason: 'throttled',
  pausesMs: [firstMs, nextMs] as [number, number],
});

const CASES: Record<string, Case> = {
  'AWS: 429 ThrottlingException': { start: aws(null), ...throttledFor(OWN_PAUSE_MS, 2 * OWN_PAUSE_MS) },
  'AWS: 429 with Retry-After': { start: aws(ASKED_MS), ...throttledFor(ASKED_MS, ASKED_MS) },
  'Pub/Sub: RESOURCE_EXHAUSTED': {
    start: gcp(null),
    ...throttledFor(OWN_PAUSE_MS, 2 * OWN_PAUSE_MS),
    cause: 'quota',
  },
  'Pub/Sub: with RetryInfo': { start: gcp(ASKED_MS), ...throttledFor(ASKED_MS, ASKED_MS), cause: 'quota' },
  'https: 429 of the router': { start: router, ...throttledFor(ASKED_MS, ASKED_MS) },
  // MQTT 3.1.1 has no other word (3.2.2.3), and none for a PUBLISH.
  'MQTT: CONNACK 3': {
    start: mqtt,
    cause: 'server',
    reason: 'failures',
    pausesMs: [OWN_PAUSE_MS, 2 * OWN_PAUSE_MS],
  },
};

for (const [name, { start, cause, reason, pausesMs }] of Object.entries(CASES)) {
  t.test(name, async (t) => {
    const cloud = await start(t);
    const clock = new TickingClock();
    const publisher = await cloud.open(clock);
    let tries = 0;
    const counted: Publisher = {
      type: publisher.type,
      maxEnvelopeBytes: publisher.maxEnvelopeBytes,
      publish(message, attempt) {
        tries += 1;
        return publisher.publish(message, attempt);
      },
      close: () => publisher.close(),
    };
    const agent = await agentOn(bufferFile(testDir(t)), {
      providers: ['one'],
      publisher: () => counted,
      policy: { failover },
      clock,
    });
    t.teardown(async () => {
      await agent.stop();
      await publisher.close();
    });
    const standing = () => agent.routing.providers()[0];
    const sender = agent.senders.get('one');
    const open = () => until('it is open', () => standing()?.health === 'open' && sender?.inFlight === 0);
    const ticked = (): Promise<boolean> => {
      const from = clock.ticks;
      return until('routing ticks', () => clock.ticks > from + 20);
    };
    await appendAll(agent.store, texts(3));
    await until('the first records are delivered', drained(agent));

    await cloud.throttle(true);
    await appendAll(agent.store, texts(3, 4));
    await open();
    t.equal(sender?.fault?.cause, cause, 'status and metric name the cause');
    t.match(agent.routing.explain('telemetry'), [{ health: 'open', healthReason: reason }]);
    for (const pauseMs of pausesMs) {
      const before = tries;
      clock.advance(pauseMs * 0.8);
      await appendAll(agent.store, texts(1, 7));
      await ticked();
      t.equal(tries, before, `nothing is sent for ${pauseMs * 0.8} ms`);
      clock.advance(pauseMs * 0.2);
      await until('a probe was sent', () => tries > before);
      await open();
      t.ok(tries - before <= 2, `${tries - before} tries after the pause`);
    }
    t.equal(sender?.fault?.cause, cause);
    const requests = cloud.requests();
    if (requests !== null) t.equal(requests, tries, 'the SDK repeats nothing by itself');

    await cloud.throttle(false);
    clock.advance(2 * ASKED_MS);
    await until('all is delivered', drained(agent));
    t.match(standing(), { health: 'healthy' });
    t.equal(sender?.fault, null);
    t.strictSame(agent.store.evicted, [], 'nothing is given up');
  });
}
