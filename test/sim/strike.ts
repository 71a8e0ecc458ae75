/** The effect of each fault of the plan on the world, and its end. */
import type { Cloud, CloudFault } from './cloud.ts';
import type { DownlinkFault } from './downlink.ts';
import type { SimGateway } from './gateway.ts';
import { CLOUDS, type CloudName, type Fault } from './plan.ts';
import type { SimRouter } from './router.ts';
import type { VirtualTime } from './time.ts';
import type { Truth } from './truth.ts';

/** A Pi has no clock of its own: it begins here, and the network corrects it a while later. */
const WALL_1970_MS = 0;
const WALL_NOW_MS = 1.7e12;
const CORRECTED_MS = 20_000;

/** The parts of a world that a fault can hit. */
interface Target {
  time: VirtualTime;
  truth: Truth;
  router: SimRouter;
  clouds: ReadonlyMap<CloudName, Cloud>;
  gateways: readonly SimGateway[];
  downlinkFaults: Set<DownlinkFault>;
}

export function strike(world: Target, fault: Fault): void {
  const { time, router } = world;
  const gateway = world.gateways[fault.gateway ?? 0];
  if (!gateway) return;
  const endMs = time.nowMs + fault.durationMs;
  world.truth.note('fault', fault.kind, fault.durationMs);
  switch (fault.kind) {
    case 'disk-stall':
      gateway.disk.stalledUntilMs = Math.max(endMs, gateway.disk.stalledUntilMs);
      return;
    case 'disk-failure':
      gateway.disk.failsUntilMs = Math.max(endMs, gateway.disk.failsUntilMs);
      return;
    case 'agent-crash':
      gateway.crash();
      time.at(endMs, () => gateway.start());
      return;
    case 'reboot':
      gateway.crash();
      time.at(endMs, () => {
        if (gateway.isUp) return;
        gateway.machine.reboot(WALL_1970_MS - time.nowMs);
        gateway.start();
        time.after(CORRECTED_MS, () => {
          gateway.machine.wallOffsetMs = WALL_NOW_MS;
        });
      });
      return;
    case 'clock-jump':
      gateway.machine.wallOffsetMs += fault.jumpMs;
      return;
    case 'restore':
      gateway.crash();
      time.at(endMs, () => {
        gateway.restore();
        gateway.start();
      });
      return;
    case 'hold': {
      const held = CLOUDS.filter((cloud) => fault.cloud === null || fault.cloud === cloud);
      for (const cloud of held) {
        gateway.hold(cloud, fault.reason, fault.forMs);
        time.at(endMs, () => gateway.release(cloud, fault.reason));
      }
      return;
    }
    case 'policy':
      gateway.propose(fault.draw, fault.isLive ? null : fault.durationMs);
      return;
    case 'receipt-loss': {
      const loss = { gateway: fault.gateway === null ? null : gateway.name, share: fault.share };
      world.downlinkFaults.add(loss);
      time.at(endMs, () => world.downlinkFaults.delete(loss));
      return;
    }
    case 'router-crash':
      router.crash();
      time.at(endMs, () => router.start());
      return;
    case 'ledger-failure':
      router.disk.failsUntilMs = Math.max(endMs, router.disk.failsUntilMs);
      return;
    default: {
      const { kind, share } = fault;
      const cloudFault: CloudFault = { kind, share, gateway: fault.gateway === null ? null : gateway.name };
      const hit = [...world.clouds.values()].filter(
        ({ name }) => fault.cloud === null || fault.cloud === name,
      );
      for (const cloud of hit) {
        cloud.faults.add(cloudFault);
        time.at(endMs, () => cloud.faults.delete(cloudFault));
      }
    }
  }
}
