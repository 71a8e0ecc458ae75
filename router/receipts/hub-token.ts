/** A router's identity at an IoT hub: one of the hub's policies, and the tokens that its key signs. */
import { createHmac } from 'node:crypto';
import { connectionStringParts } from '../../shared/connection-string.ts';

export interface HubPolicy {
  /** The hub's own name, the resource of its tokens. */
  host: string;
  /** host or host:port to connect to: the hub, or a gateway in front of it. */
  address: string;
  name: string;
  key: Buffer;
}

const TOKEN_LIFETIME_S = 3600;

/**
 * `HostName=…;SharedAccessKeyName=…;SharedAccessKey=…[;GatewayHostName=host[:port]]`; null when a part is
 * missing.
 */
export function parsePolicy(text: string): HubPolicy | null {
  const parts = connectionStringParts(text);
  const [host, name] = [parts.get('HostName'), parts.get('SharedAccessKeyName')];
  const key = Buffer.from(parts.get('SharedAccessKey') ?? '', 'base64');
  if (!host || !name || key.length === 0) return null;
  return { host, address: parts.get('GatewayHostName') || host, name, key };
}

/**
 * A token for the whole hub, good for an hour from `wallMs` (Azure docs, "Control access to IoT Hub by using
 * shared access signatures"): HMAC-SHA256 by the decoded key over the encoded resource, a line feed and the
 * expiry in seconds.
 */
export function hubToken({ host, name, key }: HubPolicy, wallMs: number): string {
  const resource = encodeURIComponent(host);
  const expiryS = Math.floor(wallMs / 1000) + TOKEN_LIFETIME_S;
  const signature = createHmac('sha256', key).update(`${resource}\n${expiryS}`).digest('base64');
  return `SharedAccessSignature sr=${resource}&sig=${encodeURIComponent(signature)}&se=${expiryS}&skn=${encodeURIComponent(name)}`;
}
