/** The phases before the login at an MQTT broker, by its URL. */
import { readFile } from 'node:fs/promises';
import type { Clock } from '../clock.ts';
import type { NetworkAccess } from '../network/options.ts';
import { type TlsMaterial, wayPhases } from './way.ts';

const PORTS: Readonly<Record<string, number>> = { 'mqtt:': 1883, 'mqtts:': 8883, 'ws:': 80, 'wss:': 443 };

export interface BrokerWay {
  url: string;
  /** Null for a connection that knows neither proxy nor local address. */
  network: NetworkAccess | null;
  /** Files, or PEM. */
  tls: {
    ca_file?: string | undefined;
    cert_file?: string | undefined;
    key_file?: string | undefined;
    ca?: string | undefined;
    cert?: string | undefined;
    key?: string | undefined;
  };
  clock: Clock;
}

export function brokerWay({ url, network, tls, clock }: BrokerWay): ReturnType<typeof wayPhases> {
  const { protocol, hostname, port } = new URL(url);
  const isSecure = /^(mqtts|wss):$/.test(protocol);
  // MQTT over TCP knows no proxy.
  const isWebSocket = protocol.startsWith('ws');
  const direct = { proxy: 'none', local_address: network?.local_address };
  const read = async (): Promise<TlsMaterial> => {
    const one = async (file: string | undefined, pem: string | undefined) =>
      file === undefined ? pem : readFile(file, 'utf8');
    const [ca, cert, key] = await Promise.all([
      one(tls.ca_file, tls.ca),
      one(tls.cert_file, tls.cert),
      one(tls.key_file, tls.key),
    ]);
    return { ca, cert, key };
  };
  return wayPhases({
    targets: [
      { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(port) || (PORTS[protocol] ?? 1883) },
    ],
    option: 'url',
    tls: isSecure ? { option: tls.ca === undefined ? 'ca_file' : 'ca', read } : null,
    network: network === null ? null : { ...(isWebSocket ? network : direct), isSecure },
    clock,
  });
}
