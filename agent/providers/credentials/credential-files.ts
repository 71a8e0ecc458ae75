/**
 * What is known of a slot's credentials before they are shown to anybody: their files, and when they say they
 * end.
 */
import { X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { wallMsOf } from '../../../shared/clock.ts';
import type { ProviderConfig } from '../../config/config.ts';
import { sasExpiryMs } from '../azure/connection-string.ts';
import type { SlotName, Validity } from './slots.ts';

/** The provider's entry as it is with the credentials of `slot` alone; null when it has none there. */
export function configWith(config: ProviderConfig, slot: SlotName): ProviderConfig | null {
  if (slot === 'credentials') return config;
  switch (config.type) {
    case 'aws':
      return config.next_credentials ? { ...config, credentials: config.next_credentials } : null;
    case 'azure':
      return config.next_credentials ? { ...config, credentials: config.next_credentials } : null;
    case 'gcp':
      return config.next_credentials ? { ...config, credentials: config.next_credentials } : null;
    case 'mqtt': {
      if (!config.next_credentials) return null;
      // All four are replaced, also by nothing: a password is of no use beside another's certificate.
      const { username: _, password: __, cert_file: ___, key_file: ____, ...rest } = config;
      return { ...rest, ...config.next_credentials };
    }
    case 'https': {
      if (!config.next_credentials) return null;
      // All three are replaced, also by nothing.
      const { cert_file: _, key_file: __, token_key_file: ___, ...rest } = config;
      return { ...rest, ...config.next_credentials };
    }
  }
}

/** Files that hold the credentials of an entry of one slot; renewed in place, they are taken up. */
export function credentialFiles(config: ProviderConfig): string[] {
  switch (config.type) {
    case 'aws':
      return [];
    case 'azure': {
      const { x509 } = config.credentials;
      return x509 ? [x509.cert_file, x509.key_file] : [];
    }
    case 'gcp':
      return config.credentials && 'key_file' in config.credentials ? [config.credentials.key_file] : [];
    case 'mqtt':
      return [config.cert_file, config.key_file].filter((file) => file !== undefined);
    case 'https':
      return [config.cert_file, config.key_file, config.token_key_file].filter((file) => file !== undefined);
  }
}

/** Changes when one of the files is replaced, written to, or comes or goes. */
export async function fingerprint(files: readonly string[]): Promise<string> {
  const parts = files.map(async (file) => {
    try {
      const { ino, size, mtimeMs } = await stat(file);
      return `${ino}:${size}:${mtimeMs}`;
    } catch {
      return 'none'; // Whoever opens it will say why.
    }
  });
  return (await Promise.all(parts)).join(' ');
}

/**
 * What the credentials say of their life. A beginning that they do not tell is `nowMs`. Null when they tell
 * no end.
 */
export async function validityOf(config: ProviderConfig, nowMs: number): Promise<Validity | null> {
  switch (config.type) {
    case 'aws': {
      const expires = config.credentials?.expires_at;
      return expires === undefined ? null : { fromMs: nowMs, untilMs: wallMsOf(expires) };
    }
    case 'azure': {
      const { x509, connection_string } = config.credentials;
      if (x509) return certificateValidity(x509.cert_file);
      const untilMs = sasExpiryMs(connection_string ?? '');
      return untilMs === null ? null : { fromMs: nowMs, untilMs };
    }
    case 'gcp':
      return null;
    case 'mqtt':
    case 'https':
      return config.cert_file === undefined ? null : certificateValidity(config.cert_file);
  }
}

/**
 * notBefore and notAfter of the first certificate of a PEM file, which is the leaf; null when there is none
 * to read.
 */
async function certificateValidity(file: string): Promise<Validity | null> {
  try {
    const { validFrom, validTo } = new X509Certificate(await readFile(file));
    return { fromMs: wallMsOf(validFrom), untilMs: wallMsOf(validTo) };
  } catch {
    return null; // Whoever connects with it will say why.
  }
}
