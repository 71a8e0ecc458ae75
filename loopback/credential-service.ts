/**
 * A service that hands out temporary credentials over HTTP on 127.0.0.1: STS or a token endpoint. While it is
 * silent it takes requests and never answers.
 */
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { Service } from '../shared/service.ts';

export interface CredentialAnswer {
  type: string;
  body: string;
}

export class CredentialService implements Service {
  readonly #server: Server;
  readonly #unanswered = new Set<ServerResponse>();
  #isSilent: boolean = false;
  #requests = 0;
  #port = 0;

  /** `issue` makes new credentials, and their answer. */
  constructor(issue: () => CredentialAnswer) {
    this.#server = createServer((request, response) => {
      this.#requests += 1;
      request.resume();
      request.once('end', () => {
        if (this.#isSilent) {
          this.#unanswered.add(response);
          response.once('close', () => this.#unanswered.delete(response));
          return;
        }
        const { type, body } = issue();
        response.writeHead(200, { 'content-type': type }).end(body);
      });
    });
  }

  get port(): number {
    return this.#port;
  }

  /** Requests so far, answered or not. */
  get requests(): number {
    return this.#requests;
  }

  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(0, '127.0.0.1', () => {
        const address = this.#server.address();
        if (address && typeof address === 'object') this.#port = address.port;
        resolve();
      });
    });
  }

  stop(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  /** The end of the silence cuts the requests that wait: their clients ask again. */
  setSilent(isSilent: boolean): void {
    this.#isSilent = isSilent;
    if (!isSilent) for (const response of this.#unanswered) response.destroy();
  }
}
