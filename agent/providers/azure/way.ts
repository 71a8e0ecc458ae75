/**
 * The way to the hub: MQTT over TLS on 8883, or over a WebSocket on 443, which is what goes through a proxy
 * ("Communicate with an IoT hub using the MQTT protocol").
 */
import type { TransportConfig } from 'azure-iot-common';
import type { Clock } from '../../../shared/clock.ts';
import { SecureAgent } from '../../../shared/network/agents.ts';
import { originOf } from '../../../shared/network/local-address.ts';
import type { NetworkAccess } from '../../../shared/network/options.ts';
import { proxyFor, proxyText } from '../../../shared/network/proxy.ts';
import type { AzureOptions } from './options.ts';
import type { AzureSdk } from './sdk.ts';

const PORT = 443;

export interface Way {
  Transport: AzureSdk['Mqtt'];
  /** In place of the SDK's; null: as the SDK has it. */
  uri: string | null;
  /** Settings of the MQTT client, of each connect. Throws when an interface has no address. */
  settings: () => object;
}

interface Options {
  sdk: AzureSdk;
  device: TransportConfig;
  network: NetworkAccess & { websocket: boolean };
  clock: Clock;
}

/**
 * The environment's proxy that a device with a certificate leaves aside; null: there is none, or it is used.
 */
export function proxyLeftAside(
  { credentials: { x509 } }: Pick<AzureOptions, 'credentials'>,
  env: Readonly<Record<string, string | undefined>> = process.env,
): string | null {
  if (x509 === undefined) return null;
  const { hostname, port } = new URL(`https://${x509.gateway_host_name ?? x509.host_name}`);
  try {
    const target = { host: hostname, port: Number(port) || PORT, isSecure: true };
    const proxy = proxyFor(target, undefined, env);
    return proxy && proxyText(proxy);
  } catch {
    return null; // a proxy that is no URL is left aside too
  }
}

/** Throws when the environment's proxy is no URL. */
export function way({ sdk, device, network, clock }: Options): Way {
  const named = String(device.gatewayHostName ?? device.host);
  const { hostname, port } = new URL(`https://${named}`);
  const target = { host: hostname, port: Number(port) || PORT, isSecure: true };
  // A certificate goes over TLS alone; the schema lets none pass with a proxy of its own.
  const isWebSocket = !device.x509 && (network.websocket || proxyFor(target, network.proxy) !== null);
  if (!isWebSocket)
    return { Transport: sdk.Mqtt, uri: null, settings: () => originOf(network.local_address) };
  return {
    Transport: sdk.MqttWs,
    // The SDK would put its port behind the one of a gateway.
    uri: `wss://${hostname}:${target.port}/$iothub/websocket`,
    settings: () => ({ wsOptions: { agent: new SecureAgent({}, { access: network, clock }) } }),
  };
}
