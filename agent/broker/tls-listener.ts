/**
 * MQTT over TLS 1.2 or newer. Certificate, key and client authorities are read again when their files change: connections
 * that exist go on, new ones get the new certificate. Files that do not fit together leave the old ones in force.
 */
import { readFile, stat } from 'node:fs/promises';
import type { Socket } from 'node:net';
import {
  createSecureContext,
  createServer,
  type SecureContextOptions,
  type Server,
  type TLSSocket,
} from 'node:tls';
import type { Clock } from '../../shared/clock.ts';
import { errorText, type Logger } from '../../shared/log.ts';
import type { ListenerAuth } from './gate.ts';

const POLL_MS = 5000;

export interface TlsOptions {
  /** PEM files: the server's certificate chain, and its key. */
  certFile: string;
  keyFile: string;
  /** PEM file of the authorities whose client certificates are taken. */
  clientCaFile?: string | undefined;
  auth: ListenerAuth;
}

interface TlsListenerOptions {
  tls: TlsOptions;
  handshakeTimeoutMs: number;
  clock: Clock;
  log: Logger;
  onConnection(socket: TLSSocket, certificateName: string | null): void;
  /** A handshake failed, or a client certificate is not of the authorities. */
  onRefused(address: string, problem: string): void;
}

/** The server, not yet listening; rejects when the files cannot be read or do not fit together. `end` before its close. */
export async function createTlsListener(
  options: TlsListenerOptions,
): Promise<{ server: Server; end: () => void }> {
  const { tls, handshakeTimeoutMs, clock, onConnection, onRefused } = options;
  const stamp = await stampOf(tls);
  const server = createServer({
    ...(await contextOf(tls)),
    requestCert: tls.auth !== 'password',
    // With `either`, a client without a certificate goes on to its password; a wrong one is refused below.
    rejectUnauthorized: tls.auth === 'certificate',
    handshakeTimeout: handshakeTimeoutMs,
    noDelay: true,
  });
  const handshakes = new Map<string, Socket>();
  server.on('connection', (socket: Socket) => {
    const key = endOf(socket);
    handshakes.set(key, socket);
    socket.once('close', () => handshakes.delete(key));
  });
  server.on('secureConnection', (socket) => {
    handshakes.delete(endOf(socket));
    const name = tls.auth === 'password' ? null : commonNameOf(socket);
    if (name !== null && !socket.authorized) {
      onRefused(socket.remoteAddress ?? '', errorText(socket.authorizationError));
      socket.destroy();
      return;
    }
    onConnection(socket, name);
  });
  server.on('tlsClientError', (error, socket) => onRefused(socket.remoteAddress ?? '', errorText(error)));
  const follower = followFiles(server, stamp, options);
  const polling = clock.every(POLL_MS, () => void follower());
  return {
    server,
    end() {
      polling.cancel();
      for (const socket of handshakes.values()) socket.destroy();
    },
  };
}

/** Each call looks at the files and takes them when they changed; it never rejects. */
function followFiles(
  server: Server,
  firstStamp: string,
  { tls, log }: TlsListenerOptions,
): () => Promise<void> {
  let stamp = firstStamp;
  return async () => {
    try {
      const now = await stampOf(tls);
      if (now === stamp) return;
      stamp = now;
      const context = await contextOf(tls);
      server.setSecureContext(context);
      log.info({ event: 'broker.certificate_reloaded', file: tls.certFile });
    } catch (error) {
      log.error({ event: 'broker.certificate_refused', file: tls.certFile, error: errorText(error) });
    }
  };
}

/** Checked as a whole, so that a certificate without its key is never in force. */
async function contextOf({ certFile, keyFile, clientCaFile }: TlsOptions): Promise<SecureContextOptions> {
  const options: SecureContextOptions = {
    cert: await readFile(certFile),
    key: await readFile(keyFile),
    ...(clientCaFile === undefined ? {} : { ca: await readFile(clientCaFile) }),
    minVersion: 'TLSv1.2',
  };
  createSecureContext(options);
  return options;
}

async function stampOf({ certFile, keyFile, clientCaFile }: TlsOptions): Promise<string> {
  const files = [certFile, keyFile, ...(clientCaFile === undefined ? [] : [clientCaFile])];
  const stamps = await Promise.all(
    files.map(async (file) => {
      const { ino, size, mtimeNs } = await stat(file, { bigint: true });
      return `${ino} ${size} ${mtimeNs}`;
    }),
  );
  return stamps.join(', ');
}

/** Null without a certificate; a certificate without one common name is the name of nobody. */
function commonNameOf(socket: TLSSocket): string | null {
  const certificate: unknown = socket.getPeerCertificate();
  if (typeof certificate !== 'object' || certificate === null || !('subject' in certificate)) return null;
  const { subject } = certificate;
  const name: unknown = typeof subject === 'object' && subject !== null ? Reflect.get(subject, 'CN') : null;
  return typeof name === 'string' ? name : '';
}

function endOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
