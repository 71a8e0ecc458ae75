/** One broker with a listener of each kind, on a clock that the test drives. */
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import type { Test } from 'tap';
import { createWebSocketStream, WebSocket } from 'ws';
import { Devices } from '../../../../agent/broker/access/devices.ts';
import type { Broker } from '../../../../agent/broker/broker.ts';
import { ManualClock } from '../../../manual-clock.ts';
import { testDir } from '../../../test-dir.ts';
import { device, PASSWORD } from '../access/devices-fixture.ts';
import { heldIntake, SILENT, startBroker } from '../fixture.ts';
import { loginPacket } from '../raw-client.ts';
import { authority, server } from './tls-fixture.ts';

export const KINDS = ['tcp', 'tls', 'ws'] as const;
export type Kind = (typeof KINDS)[number];
export const CONNECT_TIMEOUT_MS = 5000;

const DEVICE = 'device';

/** The CONNECT of the one device that the broker knows. */
export function login(keepaliveS: number): Uint8Array {
  return loginPacket(DEVICE, PASSWORD, keepaliveS);
}

export interface EveryListener {
  broker: Broker;
  clock: ManualClock;
  calls: ReturnType<typeof heldIntake>['calls'];
  port(kind: Kind): number;
  /** A TCP connection, before any handshake. */
  bare(kind: Kind): Promise<Socket>;
  /** A connection that MQTT packets can be written to. */
  open(kind: Kind): Promise<Duplex>;
}

export async function everyListener(t: Test): Promise<EveryListener> {
  const devicesFile = JSON.stringify({ version: 1, devices: [device(DEVICE)], groups: [] });
  const dir = testDir(t, { 'cert.pem': server.cert, 'key.pem': server.key, 'devices.json': devicesFile });
  const host = '127.0.0.1';
  const tls = {
    certFile: `${dir}/cert.pem`,
    keyFile: `${dir}/key.pem`,
    clientCaFile: undefined,
    auth: 'password' as const,
    deviceName: 'cn' as const,
  };
  const clock = new ManualClock();
  const devices = new Devices({ file: `${dir}/devices.json`, clock, log: SILENT });
  await devices.start();
  const { calls, intake } = heldIntake();
  const { broker } = await startBroker(intake, {
    clock,
    devices,
    listeners: [
      { type: 'tcp', host, port: 0 },
      { type: 'tls', host, port: 0, tls },
      { type: 'ws', host, port: 0 },
    ],
    limits: { connectTimeoutMs: CONNECT_TIMEOUT_MS },
  });
  const sockets: Array<Socket | Duplex> = [];
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy();
    for (const call of calls) call.commit();
    await broker.stop();
    await devices.stop();
  });
  const port = (kind: Kind): number => broker.addresses().find(({ type }) => type === kind)?.port ?? 0;
  const kept = <S extends Duplex>(socket: S): S => {
    sockets.push(socket);
    socket.on('error', () => undefined); // A reset is one way for a connection to end.
    return socket;
  };
  const bare = async (kind: Kind): Promise<Socket> => {
    const socket = kept(connectTcp(port(kind), host));
    await once(socket, 'connect');
    return socket;
  };
  const open = async (kind: Kind): Promise<Duplex> => {
    if (kind === 'tcp') return await bare(kind);
    if (kind === 'tls') {
      const socket = kept(
        connectTls({ port: port(kind), host, ca: authority.ca, checkServerIdentity: () => undefined }),
      );
      await once(socket, 'secureConnect');
      return socket;
    }
    const webSocket = new WebSocket(`ws://${host}:${port(kind)}`, 'mqtt');
    await once(webSocket, 'open');
    return kept(createWebSocketStream(webSocket));
  };
  return { broker, clock, calls, port, bare, open };
}
