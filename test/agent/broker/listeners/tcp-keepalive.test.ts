/** TCP keep alive on every listener, as the kernel shows it. */
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import t from 'tap';
import { until } from '../../../until.ts';
import { everyListener, KINDS } from './every-listener.ts';

/** In /proc/net/tcp (proc_net_tcp.txt): established, and a timer that is none of a packet on its way. */
const ESTABLISHED = '01';
const KEEPALIVE_TIMER = '02';

/** The timer of the listener's end of a connection; null while there is none. */
function timerOf({ localPort = 0, remotePort = 0 }: Socket): string | null {
  const hex = (port: number): string => port.toString(16).toUpperCase().padStart(4, '0');
  const lines = readFileSync('/proc/net/tcp', 'utf8').split('\n');
  const own = lines
    .map((line) => line.trim().split(/\s+/))
    .find(([, local, remote, state]) => {
      return (
        local?.endsWith(`:${hex(remotePort)}`) &&
        remote?.endsWith(`:${hex(localPort)}`) &&
        state === ESTABLISHED
      );
    });
  return own?.[5]?.split(':')[0] ?? null;
}

t.test('the kernel probes vanished devices on every listener', async (t) => {
  const { bare } = await everyListener(t);
  for (const kind of KINDS) {
    const socket = await bare(kind);
    await until(`the timer of ${kind}`, () => timerOf(socket) === KEEPALIVE_TIMER);
    t.pass(kind);
  }
});
