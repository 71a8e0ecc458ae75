/** Which proxy a connection takes: its entry's, or the environment's (HTTPS_PROXY, HTTP_PROXY, NO_PROXY). */
import { BlockList, isIP } from 'node:net';
import { isProxyUrl, NO_PROXY } from './options.ts';

export interface Target {
  host: string;
  port: number;
  /** TLS within the connection. */
  isSecure: boolean;
}

export interface HttpProxy {
  host: string;
  port: number;
  isSecure: boolean;
  /** The `proxy-authorization` header; a secret. */
  authorization: string | null;
}

type Environment = Readonly<Record<string, string | undefined>>;

const PORTS: Readonly<Record<string, number>> = { 'http:': 80, 'https:': 443 };

/**
 * Null: directly. What an entry says goes before the environment, whose proxy no connection to this machine
 * takes. Throws when the environment's is no URL; the text holds no secret.
 */
export function proxyFor(
  target: Target,
  given: string | undefined,
  env: Environment = process.env,
): HttpProxy | null {
  if (given === NO_PROXY) return null;
  if (given !== undefined) return parsed(given);
  const name = target.isSecure ? 'https_proxy' : 'http_proxy';
  const found = env[name] || env[name.toUpperCase()];
  if (!found || isThisMachine(target.host)) return null;
  if (isExcepted(target, env['no_proxy'] || env['NO_PROXY'] || '')) return null;
  const url = found.includes('://') ? found : `http://${found}`;
  if (!isProxyUrl(url)) throw new Error(`${name.toUpperCase()}: expected http://host:port`);
  return parsed(url);
}

/** For people and logs: without user and password. */
export function proxyText({ host, port }: HttpProxy): string {
  return `${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
}

function parsed(text: string): HttpProxy {
  const { protocol, hostname, port, username, password } = new URL(text);
  const login = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return {
    host: unbracketed(hostname),
    port: Number(port) || (PORTS[protocol] ?? 80),
    isSecure: protocol === 'https:',
    authorization: username === '' ? null : `Basic ${Buffer.from(login).toString('base64')}`,
  };
}

/** Whether a name or address is this machine's own, and traffic to it never leaves. */
export function isThisMachine(host: string): boolean {
  return /^(?:localhost|127(?:\.\d+){3}|::1)$/i.test(host);
}

/** By curl's rules: names with all below them, addresses, networks, each with a port or for all; `*`. */
function isExcepted({ host, port }: Target, list: string): boolean {
  return list
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .some((entry) => {
      if (entry === '*') return true;
      const [, name = entry, only] = /^(.*[^:]):(\d+)$/.exec(isIP(entry) === 6 ? '' : entry) ?? [];
      if (only !== undefined && Number(only) !== port) return false;
      return isNamed(host.toLowerCase(), unbracketed(name).toLowerCase());
    });
}

function isNamed(host: string, name: string): boolean {
  const [network = '', bits] = name.split('/');
  const family = isIP(network);
  if (bits !== undefined && family !== 0 && Number(bits) <= (family === 6 ? 128 : 32))
    return isWithin(host, network, Number(bits));
  const domain = name.replace(/^\*?\./, '');
  return host === domain || host.endsWith(`.${domain}`);
}

function isWithin(host: string, network: string, bits: number): boolean {
  if (isIP(host) !== isIP(network)) return false;
  const family = isIP(host) === 6 ? 'ipv6' : 'ipv4';
  const list = new BlockList();
  list.addSubnet(network, bits, family);
  return list.check(host, family);
}

function unbracketed(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1');
}
