/** What the agent measures of its clock (I7). */
import { Counter, Gauge, type Registry } from 'prom-client';
import type { BootClock } from './boot-clock.ts';

/** Read when Prometheus asks. */
export function registerClock(registry: Registry, bootClock: BootClock): void {
  const registers = [registry];
  new Gauge({
    name: 'headgate_agent_clock_synchronised',
    help: 'One when the wall clock is synchronised; records taken before are corrected.',
    registers,
    collect() {
      this.set(bootClock.current().quality === 'synchronised' ? 1 : 0);
    },
  });
  new Counter({
    name: 'headgate_agent_clock_jumps_total',
    help: 'Jumps of the wall clock while it counted as synchronised.',
    registers,
    collect() {
      this.reset();
      this.inc(bootClock.jumps().count);
    },
  });
  new Gauge({
    name: 'headgate_agent_clock_last_jump_seconds',
    help: 'How far the last of them went; 0 before the first.',
    registers,
    collect() {
      this.set(bootClock.jumps().lastMs / 1000);
    },
  });
}
