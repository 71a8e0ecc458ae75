/**
 * One run of an agent, as agent/agent.ts wires it: intake, forwarder, senders, routing, holds and the way of
 * the receipts are the real ones on a virtual clock; the buffer, the network and the clouds are the world's.
 */
import { Intake } from '../../agent/broker/intake.ts';
import { ReceiptTracker } from '../../agent/downlink/receipt-tracker.ts';
import { Sender } from '../../agent/forward/delivery/sender.ts';
import { Forwarder } from '../../agent/forward/forwarder.ts';
import { Holds } from '../../agent/holds/holds.ts';
import { LiveRouting } from '../../agent/routing/live-routing.ts';
import type { StoreLimits } from '../../agent/store/limits.ts';
import type { Entropy } from '../../shared/entropy.ts';
import { type EnvelopeClock, HEARTBEAT_STREAM } from '../../shared/envelope/envelope.ts';
import type { Logger } from '../../shared/log.ts';
import type { Policy } from '../../shared/policy/policy.ts';
import { SimBuffer } from './buffer.ts';
import type { Cloud } from './cloud.ts';
import type { Disk } from './disk.ts';
import { type DownlinkFault, receiptWay } from './downlink.ts';
import { simHoldFile } from './operator.ts';
import type { Facts } from './policies.ts';
import type { SimRouter } from './router.ts';
import type { Machine, ProcessClock, VirtualTime } from './time.ts';
import type { Truth } from './truth.ts';

/** Around what happens, periodic timers keep their period for so long. */
export const AWAKE_MS = 400;

export interface AgentOptions {
  name: string;
  machine: Machine;
  disk: Disk;
  clock: ProcessClock;
  bootId: string;
  policy: Policy;
  /** By the policy in force, whatever the agent makes of it. */
  copiesOf: (stream: string) => number;
  limits: StoreLimits;
  facts: readonly Facts[];
  clouds: ReadonlyMap<string, Cloud>;
  router: SimRouter;
  downlinkFaults: ReadonlySet<DownlinkFault>;
  time: VirtualTime;
  entropy: Entropy;
  truth: Truth;
  recall: (routing: LiveRouting, bootId: string) => void;
  /** An envelope, or a probe, leaves for a provider. */
  onPublish: (provider: string, stream: string) => void;
  log: Logger;
}

export interface Agent {
  clock: ProcessClock;
  buffer: SimBuffer;
  intake: Intake;
  routing: LiveRouting;
  holds: Holds;
}

export function startAgent(options: AgentOptions): Agent {
  const { name, disk, clock, bootId, policy, truth, time, log } = options;
  const buffer = new SimBuffer({ ...options, gateway: name, nowMs: () => time.nowMs });
  const routing = new LiveRouting({ policy, providers: [...options.facts], clock, log });
  options.recall(routing, bootId);
  const holds = new Holds({
    file: simHoldFile(disk, clock, time),
    now: () => ({ bootId, monoMs: clock.monoMs(), wallMs: clock.wallMs(), synchronised: false }),
    dispatch: (event) => routing.dispatch(event),
    clock,
    log,
  });
  const forwarder = new Forwarder({
    gateway: name,
    policy,
    store: buffer,
    routing,
    senders: sendersOf(options, routing),
    currentClock: (): EnvelopeClock => ({
      bootId,
      offsetMs: Math.round(clock.wallMs() - clock.monoMs()),
      quality: 'unsynchronised',
    }),
    clock,
    log,
    receipts: truth.untilReceipt.size > 0,
  });
  const streams = Object.entries(policy.streams).map(([stream, { topics }]) => ({
    name: stream,
    filters: topics,
  }));
  void begin(options, { holds, forwarder, routing });
  return { clock, buffer, routing, holds, intake: new Intake({ store: buffer, streams, clock, log }) };
}

/** In the order of agent/agent.ts: the holds are in force before the first envelope. */
async function begin(
  options: AgentOptions,
  { holds, forwarder, routing }: { holds: Holds; forwarder: Forwarder; routing: LiveRouting },
): Promise<void> {
  await holds.start();
  await forwarder.start();
  const { name, policy, facts, clock, truth, log } = options;
  if (truth.untilReceipt.size === 0) return;
  const tracker = new ReceiptTracker({
    streams: () => forwarder.queued(),
    settlements: forwarder.settlements,
    routing,
    providers: facts.map((one) => one.name),
    lagMs: policy.failover.receipt_lag,
    clock,
    log,
  });
  await receiptWay({ ...options, gateway: name, tracker, faults: options.downlinkFaults }).start();
}

function sendersOf(
  { name, clouds, clock, machine, log, onPublish }: AgentOptions,
  routing: LiveRouting,
): Map<string, Sender> {
  return new Map(
    [...clouds].map(([provider, cloud]) => {
      const inner = cloud.publisher(name, clock);
      const publisher: typeof inner = {
        ...inner,
        publish: (message, attempt) => {
          onPublish(provider, message.stream);
          if (message.stream !== HEARTBEAT_STREAM) machine.wake(AWAKE_MS);
          return inner.publish(message, attempt);
        },
      };
      const ignored = { count: () => 0, onOutcome: () => undefined };
      return [provider, new Sender({ provider, publisher, routing, clock, log, ...ignored })];
    }),
  );
}
