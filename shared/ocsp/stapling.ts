/**
 * OCSP stapling (RFC 6066, section 8) of a TLS server, from a file that the operator renews. The file is read
 * again when it or the certificate changes. A response that does not fit, or that has run out, is not stapled
 * and alerts; the listener goes on without one (I9).
 */
import { X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { type Clock, isoTime, type Timer } from '../clock.ts';
import { errorText, type Logger } from '../log.ts';
import type { Service } from '../service.ts';
import { pemBlocks, TLS_FILES_POLL_MS, type TlsFiles } from '../tls-files.ts';

/** Several kilobytes with a responder's certificate: a larger file is no response. */
const BYTES_MAX = 65_536;

interface Staple {
  response: Buffer;
  untilMs: number;
}

/** The event of a TLS server whose client asks for a response; null is the answer without one. */
interface AskingServer {
  on(
    event: 'OCSPRequest',
    listener: (
      certificate: Buffer,
      issuer: Buffer,
      answer: (error: Error | null, response: Buffer | null) => void,
    ) => void,
  ): unknown;
}

export interface OcspStaplingOptions {
  files: TlsFiles;
  /** Log events begin with it. */
  component: string;
  clock: Clock;
  log: Logger;
}

export class OcspStapling implements Service {
  readonly #server: AskingServer;
  readonly #options: OcspStaplingOptions;
  #staple: Staple | null = null;
  /** Why the file was not taken. */
  #problem: string | null = null;
  #stamp = '';
  /** The problem in the log's last line; null after a response was taken. */
  #told: string | null = null;
  #timer: Timer | null = null;

  /** Answers the handshakes of `server` that ask for a response. */
  constructor(server: AskingServer, options: OcspStaplingOptions) {
    this.#server = server;
    this.#options = options;
  }

  /** Resolves when the file was read. Never rejects. */
  async start(): Promise<void> {
    const { files, clock } = this.#options;
    if (files.ocspFile === undefined) return;
    // A handshake waits for the answer: it is made of what is at hand.
    this.#server.on('OCSPRequest', (_certificate, _issuer, answer) => answer(null, this.#current()));
    await this.#follow();
    this.#timer = clock.every(TLS_FILES_POLL_MS, () => void this.#follow());
  }

  stop(): Promise<void> {
    this.#timer?.cancel();
    return Promise.resolve();
  }

  #current(): Buffer | null {
    const staple = this.#staple;
    return staple !== null && staple.untilMs > this.#options.clock.wallMs() ? staple.response : null;
  }

  async #follow(): Promise<void> {
    const { files, component, clock, log } = this.#options;
    const stamp = await stampOf(files);
    if (stamp !== this.#stamp) {
      this.#stamp = stamp;
      await this.#read();
    }
    const problem = this.#problem ?? expiryProblem(this.#staple?.untilMs ?? 0, clock.wallMs());
    if (problem !== null && problem !== this.#told)
      log.error({ event: `${component}.ocsp_refused`, file: files.ocspFile, problem });
    this.#told = problem;
  }

  async #read(): Promise<void> {
    const { files, component, clock, log } = this.#options;
    this.#staple = null;
    try {
      // The parser is loaded only where there is a response.
      const { judgeOcspResponse } = await import('./response.ts');
      const response = await responseIn(files);
      const verdict = judgeOcspResponse(response, await certificatesOf(files), clock.wallMs());
      this.#problem = verdict.isGood ? null : verdict.problem;
      if (!verdict.isGood) return;
      this.#staple = { response, untilMs: verdict.untilMs };
      const until = isoTime(verdict.untilMs);
      if (this.#current() !== null) log.info({ event: `${component}.ocsp_loaded`, until });
    } catch (error) {
      this.#problem = errorText(error);
      this.#stamp = ''; // Files that could not be read are read again.
    }
  }
}

/** Null before the end of a response; the times are wall time. */
export function expiryProblem(untilMs: number, nowMs: number): string | null {
  return untilMs > nowMs ? null : `it ran out at ${isoTime(untilMs)}`;
}

async function responseIn({ ocspFile = '' }: TlsFiles): Promise<Buffer> {
  const { size } = await stat(ocspFile);
  if (size > BYTES_MAX) throw new Error(`a response has at most ${BYTES_MAX} bytes, the file has ${size}`);
  return readFile(ocspFile);
}

/** The server's chain, then the authorities of clients: the server's may be among them. */
async function certificatesOf({ certFile, clientCaFile }: TlsFiles): Promise<X509Certificate[]> {
  const files = [certFile, ...(clientCaFile === undefined ? [] : [clientCaFile])];
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8')));
  return pemBlocks(texts.join('\n')).map((pem) => new X509Certificate(pem));
}

/** A missing file has a stamp of its own. */
async function stampOf({ ocspFile, certFile, clientCaFile }: TlsFiles): Promise<string> {
  const files = [ocspFile, certFile, clientCaFile].filter((file) => file !== undefined);
  const stamps = await Promise.all(
    files.map((file) =>
      stat(file, { bigint: true }).then(
        ({ ino, size, mtimeNs }) => `${ino} ${size} ${mtimeNs}`,
        (error: unknown) => errorText(error),
      ),
    ),
  );
  return stamps.join(', ');
}
