/**
 * A TLS server's certificate, key, client authorities and revocation lists, reloaded when their files
 * change: existing connections continue, new ones get the new certificate. Files that do not fit together
 * leave the old ones in force.
 */
import { constants } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { createSecureContext, type SecureContextOptions, type Server, TLSSocket } from 'node:tls';
import { reading } from './config/start-check.ts';
import { errorText, type Logger } from './log.ts';
import { isOutOfDescriptors } from './out-of-descriptors.ts';

/** How often the files are checked. */
export const TLS_FILES_POLL_MS = 5000;

/**
 * For TLS 1.2: only authenticated encryption with forward secrecy; RFC 9325 section 4.2, without the
 * finite-field suites. For TLS 1.3, Node's suites, which all qualify.
 */
const CIPHERS = [
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

export interface TlsFiles {
  /** PEM files: the server's certificate chain, and its key. */
  certFile: string;
  keyFile: string;
  /** PEM file of the authorities of accepted client certificates. */
  clientCaFile?: string | undefined;
  /** PEM file of their revocation lists (CRLs): one of each authority in a chain. */
  clientCrlFile?: string | undefined;
  /** DER file of an OCSP response about the certificate, which is stapled: ocsp/stapling.ts. */
  ocspFile?: string | undefined;
}

/**
 * Checks the files together, so that a certificate without its key is never in force. Rejects when they do
 * not fit.
 */
export async function readTlsFiles({
  certFile,
  keyFile,
  clientCaFile,
  clientCrlFile,
}: TlsFiles): Promise<SecureContextOptions> {
  const options: SecureContextOptions = {
    cert: await reading('cert_file', certFile, () => readFile(certFile)),
    key: await reading('key_file', keyFile, () => readFile(keyFile)),
    ...(clientCaFile === undefined
      ? {}
      : {
          ca: await reading('client_ca_file', clientCaFile, () => readFile(clientCaFile)),
          // A resumed session would bring back a certificate that is checked no more.
          secureOptions: constants.SSL_OP_NO_TICKET,
        }),
    ...(clientCrlFile === undefined ? {} : { crl: await revocationLists(clientCrlFile) }),
    minVersion: 'TLSv1.2',
    ciphers: CIPHERS,
  };
  createSecureContext(options);
  return options;
}

async function revocationLists(file: string): Promise<string[]> {
  // Node.js takes one list of each text.
  return pemBlocks(await reading('client_crl_file', file, () => readFile(file, 'utf8')));
}

/** The PEM blocks of a text, which may hold other lines (RFC 7468). */
export function pemBlocks(text: string): string[] {
  return text.match(/-----BEGIN ([A-Z0-9 ]+)-----[^-]*-----END \1-----/g) ?? [];
}

/** Differs after a file was replaced or written. Rejects when a file is missing. */
export async function stampOfTlsFiles(given: TlsFiles): Promise<string> {
  const { certFile, keyFile, clientCaFile, clientCrlFile } = given;
  const files = [certFile, keyFile, clientCaFile, clientCrlFile].filter((file) => file !== undefined);
  const stamps = await Promise.all(
    files.map(async (file) => {
      const { ino, size, mtimeNs } = await stat(file, { bigint: true });
      return `${ino} ${size} ${mtimeNs}`;
    }),
  );
  return stamps.join(', ');
}

interface TlsFilesFollowerOptions {
  files: TlsFiles;
  component: string;
  log: Logger;
  /** Called after the new files are in force. Never rejects. */
  onReload: () => Promise<void>;
}

/**
 * Each call checks the files and loads them when they changed; it never rejects. Log events begin with
 * `component`.
 */
export function tlsFilesFollower(
  server: Pick<Server, 'setSecureContext'>,
  firstStamp: string,
  { files, component, log, onReload }: TlsFilesFollowerOptions,
): () => Promise<void> {
  let stamp = firstStamp;
  return async () => {
    try {
      const now = await stampOfTlsFiles(files);
      if (now === stamp) return;
      stamp = now;
      server.setSecureContext(await readTlsFiles(files));
      log.info({ event: `${component}.certificate_reloaded`, file: files.certFile });
      await onReload();
    } catch (error) {
      if (isOutOfDescriptors(error)) stamp = '';
      const { certFile: file } = files;
      log.error({ event: `${component}.certificate_refused`, file, error: errorText(error) });
    }
  };
}

/**
 * The common name in the peer's certificate, `''` when it has not exactly one (no peer is named so), null
 * without a certificate. It does not show who signed it: that is `socket.authorized`.
 */
export function commonNameOf(socket: unknown): string | null {
  if (!(socket instanceof TLSSocket)) return null;
  const certificate: unknown = socket.getPeerCertificate();
  if (typeof certificate !== 'object' || certificate === null || !('subject' in certificate)) return null;
  const { subject } = certificate;
  const name: unknown = typeof subject === 'object' && subject !== null ? Reflect.get(subject, 'CN') : null;
  return typeof name === 'string' ? name : '';
}
