/**
 * A gateway without a battery clock: it boots in 1970, takes records, its agent is restarted, and only then
 * is the clock set right. In the end every record has its right wall time (I7): those that left before, in
 * the ledger; those that waited in the buffer, in their envelopes.
 */

import { join } from 'node:path';
import t from 'tap';
import { BootClock } from '../../agent/clock/boot-clock.ts';
import { Sender } from '../../agent/forward/delivery/sender.ts';
import { Forwarder } from '../../agent/forward/forwarder.ts';
import type { Publisher } from '../../agent/providers/publisher.ts';
import { LiveRouting } from '../../agent/routing/live-routing.ts';
import { Store } from '../../agent/store/store.ts';
import type { Ledger } from '../../router/ledger/ledger.ts';
import { openSqliteLedger } from '../../router/ledger/sqlite/engine.ts';
import { type Clock, systemClock } from '../../shared/clock.ts';
import { systemEntropy } from '../../shared/entropy.ts';
import { decodeEnvelope } from '../../shared/envelope/codec.ts';
import { createLogger } from '../../shared/log.ts';
import { policySchema } from '../../shared/policy/policy.ts';
import { testDir } from '../test-dir.ts';
import { until } from '../until.ts';

const BOOT_1970 = 3000;
const BOOT_RIGHT = 1_800_000_000_000;

const log = createLogger({ level: 'silent', levels: {} });
const policy = policySchema.parse({ streams: { telemetry: { topics: ['#'], linger: '10ms' } } });

/** The gateway's machine: its wall clock is wrong until it is set. */
class Machine {
  synchronised: boolean = false;
  readonly clock: Clock = {
    ...systemClock,
    wallMs: () => this.clock.monoMs() + (this.synchronised ? BOOT_RIGHT : BOOT_1970),
  };
}

interface Agent {
  store: Store;
  /** The boot clock's work of every ten seconds. */
  readClock(): void;
  take(text: string): Promise<void>;
  stop(): Promise<void>;
}

async function startAgent(file: string, machine: Machine, ledger: Ledger | null): Promise<Agent> {
  const { clock } = machine;
  const readers: Array<() => void> = [];
  const bootClock = new BootClock({
    bootId: 'boot-1',
    clock: {
      ...clock,
      every: (_periodMs, run) => {
        readers.push(run);
        return { cancel: () => undefined };
      },
    },
    log,
    isSynchronised: () => machine.synchronised,
  });
  const store = new Store({ file, bootId: 'boot-1', clock, entropy: systemEntropy, log });
  bootClock.onRead((reading) => store.setClock(reading));
  const publisher: Publisher = {
    type: 'mqtt',
    maxEnvelopeBytes: 128_000,
    async publish({ bytes }) {
      if (!ledger) return { kind: 'retryable', cause: 'unavailable', detail: '' };
      await ledger.commit([
        { envelope: decodeEnvelope(bytes), source: 'cloud', receivedWallMs: 0, verified: false },
      ]);
      return { kind: 'accepted' };
    },
    close: () => Promise.resolve(),
  };
  const facts = { name: 'cloud', type: 'mqtt', region: 'none', enabled: true, priority: 1 } as const;
  const providers = [{ ...facts, slaPercent: 99.9, certifications: [] }];
  const routing = new LiveRouting({ policy, providers, clock, log });
  const onOutcome = () => undefined;
  const sender = new Sender({ provider: 'cloud', publisher, routing, clock, log, count: () => 0, onOutcome });
  const forwarder = new Forwarder({
    gateway: 'gw-1',
    policy,
    store,
    routing,
    senders: new Map([['cloud', sender]]),
    currentClock: () => bootClock.current(),
    clock,
    log,
  });
  await store.start();
  await bootClock.start();
  await forwarder.start();
  return {
    store,
    readClock: () => readers.forEach((read) => void read()),
    async take(text) {
      const monoMs = Math.round(clock.monoMs());
      const device = String(monoMs);
      await store.append({ stream: 'telemetry', device, topic: 't', payload: Buffer.from(text), monoMs });
    },
    async stop() {
      await forwarder.stop();
      await bootClock.stop();
      await store.stop();
    },
  };
}

t.test('boots in 1970, restarts, is synchronised: all records end with right wall times (I7)', async (t) => {
  const dir = testDir(t);
  const file = join(dir, 'buffer.db');
  const ledger = await openSqliteLedger({ file: join(dir, 'ledger.db'), clock: systemClock, log });
  t.teardown(() => ledger.close());
  const machine = new Machine();
  const inLedger = async (): Promise<string[]> =>
    (await ledger.read(0, 100)).map((r) => `${Buffer.from(r.payload)} ${r.clockQuality}`);

  const first = await startAgent(file, machine, ledger);
  await first.take('left before');
  await until('the ledger has 1', async () => (await inLedger()).length === 1);
  t.same(await inLedger(), ['left before unsynchronised']);
  await first.stop();

  const offline = await startAgent(file, machine, null);
  await offline.take('waited in an epoch that ended');
  await offline.stop();

  const stillOffline = await startAgent(file, machine, null);
  await stillOffline.take('waited in another');
  machine.synchronised = true;
  stillOffline.readClock();
  const right = { bootId: 'boot-1', offsetMs: BOOT_RIGHT, quality: 'synchronised' };
  t.same(
    stillOffline.store.epochs().map(({ clock }) => clock),
    new Array(stillOffline.store.epochs().length).fill(right),
    'also the epochs before',
  );
  t.ok(stillOffline.store.epochs().length >= 2);
  await stillOffline.stop();

  const online = await startAgent(file, machine, ledger);
  t.ok(
    online.store.epochs().every(({ clock }) => clock.quality === 'synchronised'),
    'and durably so',
  );
  await online.take('after');
  await until('the ledger has 4', async () => (await inLedger()).length === 4);
  t.same(
    new Set(await inLedger()),
    new Set([
      'after synchronised',
      'left before corrected',
      'waited in an epoch that ended synchronised',
      'waited in another synchronised',
    ]),
  );
  for (const { payload, device, wallMs } of await ledger.read(0, 100)) {
    t.equal(wallMs, Number(device) + BOOT_RIGHT, `${Buffer.from(payload)}`);
  }
  await online.stop();
});

t.test('an epoch of another boot, and one that was right, keep their clocks', async (t) => {
  const file = join(testDir(t), 'buffer.db');
  const clocks = [
    { bootId: 'boot-0', offsetMs: 7, quality: 'unsynchronised' },
    { bootId: 'boot-1', offsetMs: BOOT_RIGHT - 9000, quality: 'synchronised' },
    { bootId: 'boot-1', offsetMs: BOOT_RIGHT, quality: 'synchronised' },
  ] as const;
  for (const clock of clocks) {
    const store = new Store({ file, bootId: clock.bootId, clock: systemClock, entropy: systemEntropy, log });
    await store.start();
    store.setClock(clock);
    await store.append({ stream: 's', device: 'd', topic: 't', payload: Buffer.of(1), monoMs: 1 });
    t.same(
      store.epochs().map((info) => info.clock),
      clocks.slice(0, clocks.indexOf(clock) + 1),
    );
    await store.stop();
  }
});
