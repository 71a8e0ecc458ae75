/**
 * `config check --connect` of the router's own HTTPS endpoint: its files, then its port. A port in use is the
 * running router's when it answers as one; a free one is bound for a moment.
 */
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { createServer } from 'node:net';
import { createSecureContext } from 'node:tls';
import { type ConnectCheck, PhaseFailure } from '../../../shared/connect-check/phases.ts';
import { readTlsFiles } from '../../../shared/tls-files.ts';
import { readGatewayKeys } from '../../gateways/gateway-keys.ts';
import type { HttpsSourceOptions } from './options.ts';

const ANY_ADDRESS: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };

export function httpsConnectCheck(options: HttpsSourceOptions): ConnectCheck {
  const { cert_file: certFile, key_file: keyFile, client_ca_file: clientCaFile } = options;
  const { client_crl_file: clientCrlFile } = options;
  const isSecure = certFile !== undefined && keyFile !== undefined;
  return {
    phases: [
      {
        name: 'files',
        option: isSecure ? 'cert_file' : 'gateways_file',
        run: async () => {
          if (isSecure)
            createSecureContext(await readTlsFiles({ certFile, keyFile, clientCaFile, clientCrlFile }));
          return gatewaysNote(options.gateways_file);
        },
      },
      { name: 'listen', option: 'port', run: (signal) => bindable(options, isSecure, signal) },
    ],
    close: () => Promise.resolve(),
  };
}

async function gatewaysNote(file: string | undefined): Promise<string | null> {
  if (file === undefined) return null;
  const keys = await readGatewayKeys(file).catch((error: unknown) => {
    const text = error instanceof Error ? error.message : String(error);
    throw new PhaseFailure(text, { option: 'gateways_file', fix: 'check the file and its keys' });
  });
  return `${keys.size} gateways with keys`;
}

/** Rejects unless the port is free, or a router listens there already. */
async function bindable(
  { host, port }: HttpsSourceOptions,
  isSecure: boolean,
  signal: AbortSignal,
): Promise<string | null> {
  const code = await bindError(host, port);
  if (code === null) return 'the port is free';
  if (code !== 'EADDRINUSE') throw Object.assign(new Error(`${host}:${port}: ${code}`), { code });
  if (await isRouter(ANY_ADDRESS[host] ?? host, port, isSecure, signal)) return 'a router listens there';
  const fix = 'stop the other program, or name another port';
  throw new PhaseFailure(`port ${port} of ${host} is in use by another program`, { fix });
}

/** The code of the refusal; null when the port could be bound. It is free again on return. */
function bindError(host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error) => resolve(String(Reflect.get(error, 'code') ?? error.message)));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(null)));
  });
}

/** A router refuses a request without a login in its own words (login.ts). */
function isRouter(host: string, port: number, isSecure: boolean, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const options = { host, port, method: 'GET', path: '/v1/gateways/-/downlink', signal, agent: false };
    // The listener there gets nothing from this request; its certificate is not for this address.
    const ask = isSecure ? httpsRequest({ ...options, rejectUnauthorized: false }) : httpRequest(options);
    ask.once('response', (answer) => {
      resolve(answer.statusCode === 401 && answer.headers['www-authenticate'] === 'Bearer');
      answer.destroy();
    });
    ask.on('error', () => resolve(false));
    ask.end();
  });
}
