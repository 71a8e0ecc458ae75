/** Remedies for a failed phase, by the error's code. */

/** By the code of Node.js: of `getaddrinfo`, of a socket, of OpenSSL's verification. */
const BY_CODE: Readonly<Record<string, string>> = {
  ENOTFOUND: 'check the name; `getent hosts <name>` shows what this machine finds',
  EAI_AGAIN: 'the resolver did not answer: check /etc/resolv.conf and the network',
  ECONNREFUSED: 'nothing listens there: check host and port, and that the service runs',
  ECONNRESET: 'the other side ended the connection: check port and firewall',
  EHOSTUNREACH: 'there is no route: check the network, local_address and firewall',
  ENETUNREACH: 'there is no route: check the network, local_address and firewall',
  ETIMEDOUT: 'a firewall may drop the packets: open the port, or set proxy',
  ENODEV: 'name an interface that has an address: `ip addr`',
  EADDRNOTAVAIL: 'use an address of this machine: `ip addr`',
  EACCES: 'give this user the right to it',
  ENOENT: 'check the path',
  EPROXY: 'check the proxy, its login and which ports it lets through',
  CERT_HAS_EXPIRED: 'renew the certificate of the server, and check the clock of this machine',
  CERT_NOT_YET_VALID: 'check the clock of this machine',
  ERR_TLS_CERT_ALTNAME_INVALID: 'use a name that is in the certificate of the server',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'name the authority of the certificate here',
  SELF_SIGNED_CERT_IN_CHAIN: 'name the authority of the certificate here',
  UNABLE_TO_GET_ISSUER_CERT: 'name the authority of the certificate here',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'name the authority of the certificate here',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'name the authority of the certificate here',
};

const BY_PHASE: Readonly<Record<string, string>> = {
  files: 'check the files and values of this entry',
  resolve: 'check the name and the resolver',
  connect: 'check host, port and firewall',
  tls: 'check that the port speaks TLS, and the authority',
  login: 'check the credentials, and that they are still valid',
  read: 'check the name, and that these credentials may read it',
  write: 'check the name, and that these credentials may write to it',
  publish: 'check the credentials, and that they may publish there',
  listen: 'check host and port',
  open: 'see docs/troubleshooting.md',
};

/** Of a server that takes a connection and says nothing. */
export const SILENT =
  'it takes connections and does not answer: check the port, the service behind it, and firewalls';

/** By the words of the SDKs and of our own limits. */
export function isSilence(message: string): boolean {
  return /no answer|deadline.exceeded|time-?out|timed out/i.test(message);
}

export function remedyFor(phase: string, error: unknown): string {
  const code: unknown = Reflect.get(Object(error), 'code');
  const known = typeof code === 'string' && Object.hasOwn(BY_CODE, code) ? BY_CODE[code] : undefined;
  return known ?? BY_PHASE[phase] ?? '';
}
