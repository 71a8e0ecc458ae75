/**
 * MQTT over TLS 1.2 or newer. Certificate, key and client authorities are read again when their files change.
 */
import { createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { createServer, type TLSSocket } from 'node:tls';
import type { Clock } from '../../../shared/clock.ts';
import { LivingConnections } from '../../../shared/living-connections.ts';
import { errorText, type Logger } from '../../../shared/log.ts';
import { OcspStapling } from '../../../shared/ocsp/stapling.ts';
import {
  readTlsFiles,
  stampOfTlsFiles,
  TLS_FILES_POLL_MS,
  type TlsFiles,
  tlsFilesFollower,
} from '../../../shared/tls-files.ts';
import { type CertificateName, certificateNameOf, type DeviceNameField } from '../access/certificate-name.ts';
import type { ListenerAuth } from '../access/gate.ts';
import { TCP_OPTIONS } from './connect-deadline.ts';

export interface TlsOptions extends TlsFiles {
  auth: ListenerAuth;
  /** The certificate field that holds the device's name. */
  deviceName: DeviceNameField;
  /** Null: no limit. */
  maxAgeMs?: number | null;
}

/** Longer than any `connect_timeout`. */
const HANDSHAKE_MS_MAX = 3_600_000;

interface TlsListenerOptions {
  tls: TlsOptions;
  clock: Clock;
  log: Logger;
  /** Called before the handshake, which is the expensive part; false ends the connection. */
  isAdmitted(socket: Socket): boolean;
  /** `socket`: the TCP connection under `connection`. */
  onConnection(connection: TLSSocket, certificate: CertificateName | null, socket: Socket): void;
  /** A handshake failed, or the client certificate is not signed by a configured authority. */
  onRefused(address: string, problem: string): void;
}

/**
 * Creates the server, not yet listening. Rejects when the files cannot be read or do not match. Call `end`
 * before the server's close.
 */
export async function createTlsListener(
  options: TlsListenerOptions,
): Promise<{ server: Server; end: () => void }> {
  const { tls, clock, log, isAdmitted, onConnection, onRefused } = options;
  const stamp = await stampOfTlsFiles(tls);
  const maxAgeMs = tls.maxAgeMs ?? null;
  const living = new LivingConnections({ files: tls, maxAgeMs, component: 'broker', clock, log });
  const handshaker = createServer({
    ...(await readTlsFiles(tls)),
    requestCert: tls.auth !== 'password',
    // With `either`, a client without a certificate goes on to its password; a wrong certificate is refused
    // below.
    rejectUnauthorized: tls.auth === 'certificate' || tls.auth === 'both',
    // The connection's deadline comes earlier: see connect-deadline.ts.
    handshakeTimeout: HANDSHAKE_MS_MAX,
  });
  /** By {@link endOf}: a TLSSocket does not expose its TCP connection. */
  const handshakes = new Map<string, Socket>();
  const server = createTcpServer(TCP_OPTIONS, (socket) => {
    if (!isAdmitted(socket)) return;
    const key = endOf(socket);
    handshakes.set(key, socket);
    socket.once('close', () => handshakes.delete(key));
    handshaker.emit('connection', socket);
  });
  handshaker.on('secureConnection', (socket) => {
    const key = endOf(socket);
    const tcp = handshakes.get(key);
    handshakes.delete(key);
    if (!tcp) return; // The connection has ended meanwhile.
    const certificate = tls.auth === 'password' ? null : certificateNameOf(socket, tls.deviceName);
    if (certificate !== null && !socket.authorized) {
      onRefused(socket.remoteAddress ?? '', errorText(socket.authorizationError));
      socket.destroy();
      return;
    }
    living.add(socket);
    onConnection(socket, certificate, tcp);
  });
  handshaker.on('tlsClientError', (error, socket) => onRefused(socket.remoteAddress ?? '', errorText(error)));
  const follow = tlsFilesFollower(handshaker, stamp, {
    files: tls,
    component: 'broker',
    log,
    onReload: () => living.recheck(),
  });
  const polling = clock.every(TLS_FILES_POLL_MS, () => void follow());
  const stapling = new OcspStapling(handshaker, { files: tls, component: 'broker', clock, log });
  await stapling.start();
  living.start();
  return {
    server,
    end() {
      polling.cancel();
      living.stop();
      void stapling.stop();
      for (const socket of handshakes.values()) socket.destroy();
    },
  };
}

function endOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
