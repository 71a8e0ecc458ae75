/** How the servers are reached. */
import { type ConnectionOptions, credsAuthenticator } from '@nats-io/transport-node';

export interface JetStreamOptions {
  servers: readonly string[];
  user?: string | undefined;
  /** A secret, like the credentials. */
  password?: string | undefined;
  credentials?: string | undefined;
  ca?: string | undefined;
  /** The prefix of all names on the server. */
  name: string;
  replicas: number;
  /** Longest wait for the servers. */
  timeoutMs: number;
}

const RECONNECT_MS = 250;
const PING_MS = 5000;

/** The client's options. With a CA or `tls:` TLS is required. */
export function access({ servers, user, password, credentials, ca }: JetStreamOptions): ConnectionOptions {
  return {
    servers: [...servers],
    name: 'headgate-router',
    maxReconnectAttempts: -1,
    reconnectTimeWait: RECONNECT_MS,
    pingInterval: PING_MS,
    maxPingOut: 2,
    ...(user === undefined ? {} : { user }),
    ...(password === undefined ? {} : { pass: password }),
    ...(credentials === undefined ? {} : { authenticator: credsAuthenticator(Buffer.from(credentials)) }),
    // With these options TLS is required: a server without TLS gets no password.
    ...(ca === undefined && !servers.some((server) => server.startsWith('tls:'))
      ? {}
      : { tls: ca === undefined ? {} : { ca } }),
  };
}
