/**
 * Two network namespaces and a wire between them: `edge` for the agent and its devices, `cloud` for the
 * clouds and the router. Only root may make them.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';

export const EDGE = 'hg-edge';
export const CLOUD = 'hg-cloud';
const WIRE = 'hg-wire';
export const CLOUD_ADDRESSES = { v4: '10.77.0.2', v6: 'fd77::2' } as const;
/** Where edge's own name server listens: no weather between it and the agent. */
export const NAME_SERVER = '127.0.0.53';
export const RESOLV_CONF = `/etc/netns/${EDGE}/resolv.conf`;
export const HOSTS = `/etc/netns/${EDGE}/hosts`;
export const HOSTS_TEXT = '127.0.0.1 localhost\n::1 localhost\n';

/** Debian packages that the namespaces need beside Node.js. */
export const NEEDS: readonly string[] = ['iproute2', 'ethtool', 'gcc', 'libc6-dev', 'tinyproxy'];

function run(command: string): void {
  const [program = '', ...args] = command.split(' ');
  execFileSync(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

/** Makes the namespaces anew. Throws with what the system refused. */
export function raiseNet(): void {
  dropNet();
  mkdirSync(`/etc/netns/${EDGE}`, { recursive: true });
  writeFileSync(RESOLV_CONF, `nameserver ${NAME_SERVER}\n`);
  writeFileSync(HOSTS, HOSTS_TEXT);
  for (const name of [EDGE, CLOUD, WIRE]) {
    run(`ip netns add ${name}`);
    run(`ip -n ${name} link set lo up`);
  }
  const ends = [
    { name: EDGE, link: 'hge', wire: 'hgwe', v4: '10.77.0.1', v6: 'fd77::1' },
    { name: CLOUD, link: 'hgc', wire: 'hgwc', ...CLOUD_ADDRESSES },
  ];
  for (const { name, link, wire, v4, v6 } of ends) {
    run(`ip link add ${link} netns ${name} type veth peer name ${wire} netns ${WIRE}`);
    // The wire sees what a cable would: no packet larger than its MTU, every checksum filled in.
    for (const [place, end] of [
      [name, link],
      [WIRE, wire],
    ])
      run(`ip netns exec ${place} ethtool -K ${end} tx off tso off gso off gro off`);
    run(`ip -n ${name} addr add ${v4}/24 dev ${link}`);
    run(`ip -n ${name} addr add ${v6}/64 dev ${link} nodad`);
    run(`ip -n ${WIRE} link set ${wire} up`);
    run(`ip -n ${name} link set ${link} up`);
  }
}

/** Removes the namespaces, with what runs in them left without a network. */
export function dropNet(): void {
  for (const name of [EDGE, CLOUD, WIRE]) {
    try {
      run(`ip netns del ${name}`);
    } catch {
      // It is not there.
    }
  }
  rmSync(`/etc/netns/${EDGE}`, { recursive: true, force: true });
}

/** The command line that runs a program in a namespace. */
export function inside(name: string, program: string, args: readonly string[]): [string, string[]] {
  return ['ip', ['netns', 'exec', name, program, ...args]];
}

export const WIRE_ENDS = { namespace: WIRE, left: 'hgwe', right: 'hgwc' } as const;

/** Takes edge's interface down, or up again with its addresses. */
export function setEdgeLink(isUp: boolean): void {
  run(`ip -n ${EDGE} link set hge ${isUp ? 'up' : 'down'}`);
  // A link that went down has lost its IPv6 addresses.
  if (isUp) run(`ip -n ${EDGE} addr replace fd77::1/64 dev hge nodad`);
}

/** Gives edge another address, as a change from one network to another does. */
export function changeEdgeAddress(from: string, to: string): void {
  run(`ip -n ${EDGE} addr del ${from}/24 dev hge`);
  run(`ip -n ${EDGE} addr add ${to}/24 dev hge`);
}
