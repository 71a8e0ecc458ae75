/**
 * Finds authenticated names that differ from the gateway's name: the router would keep all records sent under
 * them as dead letters (foreign-gateway).
 */
import { X509Certificate } from 'node:crypto';
import type { CheckSite, ProviderIssue } from './provider-type.ts';

/** A name that the provider reports to the router, and its path in the entry. */
export interface ToldName {
  path: PropertyKey[];
  /** The kind of name for messages: `the device`, `the common name of the certificate`. */
  what: string;
  name: string;
}

/** The names that differ from `identity`, which the router maps, or without one from the gateway's name. */
export function foreignNames(
  told: readonly ToldName[],
  identity: string | undefined,
  gateway: string,
): ProviderIssue[] {
  const wanted = identity ?? gateway;
  return told
    .filter(({ name }) => name !== wanted)
    .map(({ path, what, name }) => ({
      path,
      message: `${what} is "${name}", and the ${identity === undefined ? 'gateway' : 'identity'} is "${wanted}": all that is delivered would become dead letters (foreign-gateway)`,
      hint: `make the names one; or map it with identities: { ${name}: ${gateway} } at the router's source, and write identity: ${name} here`,
    }));
}

/** The common name of a PEM file's first certificate, which is the leaf; empty when it is not readable. */
export function certificateNames(
  file: string | undefined,
  path: PropertyKey[],
  { read }: CheckSite,
): ToldName[] {
  const leaf = leafOf(file === undefined ? null : read(file));
  const name = leaf?.toLegacyObject().subject.CN;
  return typeof name === 'string' ? [{ path, what: 'the common name of the certificate', name }] : [];
}

/** The first certificate of a PEM text; null when it is not readable: the connect reports the error. */
export function leafOf(pem: string | null): X509Certificate | null {
  if (pem === null) return null;
  try {
    return new X509Certificate(pem);
  } catch {
    return null;
  }
}
