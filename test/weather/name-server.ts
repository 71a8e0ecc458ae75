/** A DNS server for the agent's namespace, with the faults of real ones (RFC 1035). */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { isIPv4 } from 'node:net';
import { systemClock, type Timer } from '../../shared/clock.ts';

/**
 * How a name is answered. `late`: after three seconds. `several`: in each family, two addresses of hosts that
 * are not there come before the one that is.
 */
export const ANSWERINGS = ['ok', 'silent', 'late', 'nxdomain', 'several'] as const;
export type Answering = (typeof ANSWERINGS)[number];

/** On edge's network; no host has them. */
const DEAD_ADDRESSES: readonly string[] = ['10.77.0.66', '10.77.0.67', 'fd77::66', 'fd77::67'];

const LATE_MS = 3000;
const TYPE_A = 1;
const TYPE_AAAA = 28;
const TTL_SECONDS = 1;
const HEADER_BYTES = 12;

export class NameServer {
  readonly #socket: Socket = createSocket('udp4');
  readonly #addresses: readonly string[];
  readonly #answering = new Map<string, Answering>();
  readonly #late = new Set<Timer>();
  /** Questions by name. */
  readonly asked = new Map<string, number>();

  /** Every name below `cloud.test` has these addresses. */
  constructor(addresses: readonly string[]) {
    this.#addresses = addresses;
  }

  async start(host: string): Promise<void> {
    this.#socket.on('message', (query, from) => this.#answer(query, from));
    await new Promise<void>((resolve) => this.#socket.bind(53, host, resolve));
  }

  stop(): void {
    for (const timer of this.#late) timer.cancel();
    this.#socket.close();
  }

  /** `name`: its first label, or `*` for all that are not set by themselves. */
  set(name: string, answering: Answering): void {
    this.#answering.set(name, answering);
  }

  /** Every name is answered again. */
  heal(): void {
    this.#answering.clear();
  }

  #answer(query: Buffer, from: RemoteInfo): void {
    const { name, end } = nameIn(query);
    const first = name.split('.')[0] ?? '';
    this.asked.set(name, (this.asked.get(name) ?? 0) + 1);
    const isOurs = /^[^.]+\.cloud\.test$/.test(name);
    const answering = this.#answering.get(first) ?? this.#answering.get('*') ?? 'ok';
    if (answering === 'silent') return;
    const type = query.readUInt16BE(end);
    const found = isOurs && answering !== 'nxdomain';
    const known = [...(answering === 'several' ? DEAD_ADDRESSES : []), ...this.#addresses];
    const addresses = found ? known.filter((address) => type === (isIPv4(address) ? TYPE_A : TYPE_AAAA)) : [];
    const response = responseTo(query.subarray(0, end + 4), addresses, found);
    const send = (): void => this.#socket.send(response, from.port, from.address);
    if (answering !== 'late') {
      send();
      return;
    }
    const timer = systemClock.setTimer(LATE_MS, () => {
      this.#late.delete(timer);
      send();
    });
    this.#late.add(timer);
  }
}

function nameIn(query: Buffer): { name: string; end: number } {
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += length + 1;
  }
  return { name: labels.join('.').toLowerCase(), end: at + 1 };
}

function responseTo(question: Buffer, addresses: readonly string[], found: boolean): Buffer {
  const head = Buffer.from(question);
  // QR, RD and RA; NXDOMAIN is 3.
  head.writeUInt16BE(found ? 0x8180 : 0x8183, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(addresses.length, 6);
  head.writeUInt32BE(0, 8);
  const answers = addresses.map((address) => {
    const bytes = isIPv4(address) ? Buffer.from(address.split('.').map(Number)) : bytesOf(address);
    const record = Buffer.alloc(HEADER_BYTES);
    record.writeUInt16BE(0xc000 | HEADER_BYTES, 0);
    record.writeUInt16BE(isIPv4(address) ? TYPE_A : TYPE_AAAA, 2);
    record.writeUInt16BE(1, 4);
    record.writeUInt32BE(TTL_SECONDS, 6);
    record.writeUInt16BE(bytes.length, 10);
    return Buffer.concat([record, bytes]);
  });
  return Buffer.concat([head, ...answers]);
}

/** An IPv6 address with one `::`. */
function bytesOf(address: string): Buffer {
  const [left = '', right = ''] = address.split('::');
  const groups = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
  const [before, after] = [groups(left), groups(right)];
  const all = [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after];
  return Buffer.from(all.flatMap((group) => [group >> 8, group & 255]));
}
