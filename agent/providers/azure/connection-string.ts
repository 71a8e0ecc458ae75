/** A device's connection string: the host name of its hub, and a signing key or a signed token. */
import type { TransportConfig } from 'azure-iot-common';
import { connectionStringParts } from '../../../shared/connection-string.ts';

/** Largest instant of a JavaScript Date, ECMA-262 "Time Values and Time Range". */
const DATE_MAX_MS = 8.64e15;

/**
 * `HostName=…;DeviceId=…;SharedAccessKey=…[;GatewayHostName=host[:port]]`, or with `SharedAccessSignature=…`
 * in place of the key; null when a part is missing.
 */
export function parseConnectionString(text: string): TransportConfig | null {
  const parts = connectionStringParts(text);
  const [host, deviceId] = [parts.get('HostName'), parts.get('DeviceId')];
  const [sharedAccessKey, sharedAccessSignature] = [
    parts.get('SharedAccessKey'),
    parts.get('SharedAccessSignature'),
  ];
  if (!host || !deviceId || !(sharedAccessKey || sharedAccessSignature)) return null;
  const proof = sharedAccessKey
    ? { sharedAccessKey }
    : { sharedAccessSignature: sharedAccessSignature ?? '' };
  return withGateway({ host, deviceId, ...proof }, parts.get('GatewayHostName'));
}

/**
 * A gateway host name is the address to connect to instead of the hub: an edge hub, or the loopback server.
 */
export function withGateway(device: TransportConfig, gatewayHostName: string | undefined): TransportConfig {
  return gatewayHostName === undefined ? device : { ...device, gatewayHostName };
}

/**
 * Expiry of the token in a connection string, in wall-clock milliseconds: its `se`, in seconds ("Control
 * access to IoT Hub with shared access signatures"). Null for a key, which signs its own tokens and does not
 * expire, and for an expiry beyond the range of a Date.
 */
export function sasExpiryMs(text: string): number | null {
  const parts = connectionStringParts(text);
  if (parts.get('SharedAccessKey')) return null;
  const seconds = /(?:^|[ &])se=(\d+)/.exec(parts.get('SharedAccessSignature') ?? '')?.[1];
  const endMs = Number(seconds) * 1000;
  return endMs <= DATE_MAX_MS ? endMs : null;
}
