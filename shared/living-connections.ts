/**
 * The open connections of a TLS server. A handshake checks a client certificate once; the connection may last
 * for months. So it ends when its certificate has run out, is revoked, or when its authority is no longer
 * accepted; and at its greatest age.
 */
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import type { Clock, Timer } from './clock.ts';
import { errorText, type Logger } from './log.ts';
import { SparseLog } from './sparse-log.ts';
import { pemBlocks, type TlsFiles } from './tls-files.ts';

/** How often expiry and age are looked at. */
const CHECK_EACH_MS = 60_000;
/** Signatures checked before other work has its turn. */
const CHECKED_AT_ONCE = 50;

/** Why a connection was ended. */
export type EndReason = 'expired' | 'revoked' | 'authority' | 'age';

interface Connection {
  certificate: X509Certificate | null;
  sinceMs: number;
}

export interface LivingConnectionsOptions {
  files: TlsFiles;
  /** Null: no limit. */
  maxAgeMs: number | null;
  /** Log events begin with it. */
  component: string;
  clock: Clock;
  log: Logger;
}

export class LivingConnections {
  readonly #options: LivingConnectionsOptions;
  readonly #log: SparseLog;
  readonly #open = new Map<TLSSocket, Connection>();
  #timer: Timer | null = null;

  constructor(options: LivingConnectionsOptions) {
    this.#options = options;
    this.#log = new SparseLog(options);
  }

  start(): void {
    this.#timer = this.#options.clock.every(CHECK_EACH_MS, () => this.#endOld());
  }

  stop(): void {
    this.#timer?.cancel();
  }

  /** Call when the handshake is done. */
  add(socket: TLSSocket): void {
    const certificate = socket.getPeerX509Certificate() ?? null;
    this.#open.set(socket, { certificate, sinceMs: this.#options.clock.monoMs() });
    socket.once('close', () => this.#open.delete(socket));
  }

  /** Call when the files have changed. Never rejects: files that cannot be read end nothing. */
  async recheck(): Promise<void> {
    const { files, component, log } = this.#options;
    try {
      const authorities = await certificatesIn(files.clientCaFile);
      const isRevoked = await revocationsIn(files.clientCrlFile);
      let checked = 0;
      for (const [socket, { certificate }] of [...this.#open]) {
        if (certificate === null || socket.destroyed) continue;
        const chain = chainOf(certificate);
        if (chain.some(isRevoked)) this.#end(socket, 'revoked');
        else if (!chain.some((one) => isOf(one, authorities))) this.#end(socket, 'authority');
        checked += 1;
        if (checked % CHECKED_AT_ONCE === 0) await nextTurn();
      }
    } catch (error) {
      log.error({ event: `${component}.certificates_not_checked`, error: errorText(error) });
    }
  }

  #endOld(): void {
    const { clock, maxAgeMs } = this.#options;
    const [wallMs, monoMs] = [clock.wallMs(), clock.monoMs()];
    for (const [socket, { certificate, sinceMs }] of [...this.#open]) {
      if (certificate !== null && certificate.validToDate.getTime() < wallMs) this.#end(socket, 'expired');
      else if (maxAgeMs !== null && monoMs - sinceMs >= maxAgeMs) this.#end(socket, 'age');
    }
  }

  #end(socket: TLSSocket, reason: EndReason): void {
    this.#open.delete(socket);
    const address = socket.remoteAddress ?? '';
    const event = `${this.#options.component}.connection_ended`;
    if (reason !== 'age') this.#log.warn(event, { reason, address }, reason);
    socket.destroy();
  }
}

async function certificatesIn(file: string | undefined): Promise<X509Certificate[]> {
  if (file === undefined) return [];
  return pemBlocks(await readFile(file, 'utf8')).map((pem) => new X509Certificate(pem));
}

/** The certificate and those above it that the peer sent. */
function chainOf(certificate: X509Certificate): X509Certificate[] {
  const chain: X509Certificate[] = [];
  for (let at: X509Certificate | undefined = certificate; at !== undefined; at = at.issuerCertificate) {
    if (chain.some(({ fingerprint256 }) => fingerprint256 === at?.fingerprint256)) break;
    chain.push(at);
  }
  return chain;
}

function isOf(certificate: X509Certificate, authorities: readonly X509Certificate[]): boolean {
  return authorities.some(
    (authority) =>
      authority.fingerprint256 === certificate.fingerprint256 ||
      (certificate.checkIssued(authority) && certificate.verify(authority.publicKey)),
  );
}

/**
 * Node.js reads no revocation lists outside of a handshake; the library is loaded only where there is one.
 */
async function revocationsIn(file: string | undefined): Promise<(certificate: X509Certificate) => boolean> {
  if (file === undefined) return () => false;
  await import('reflect-metadata');
  const x509 = await import('@peculiar/x509');
  const revoked = new Set<string>();
  for (const pem of pemBlocks(await readFile(file, 'utf8'))) {
    const list = new x509.X509Crl(Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64'));
    for (const { serialNumber } of list.entries) revoked.add(nameOf(list.issuer, serialNumber));
  }
  return ({ raw }) => {
    const { issuer, serialNumber } = new x509.X509Certificate(raw);
    return revoked.has(nameOf(issuer, serialNumber));
  };
}

/** A serial number is the issuer's own; leading zeros are the encoding's. */
function nameOf(issuer: string, serialNumber: string): string {
  return `${serialNumber.toLowerCase().replace(/^0+/, '')} ${issuer}`;
}
