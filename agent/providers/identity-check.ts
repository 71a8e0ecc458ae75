/**
 * Names that a provider or a router authenticates and that are not the gateway's: the router would keep
 * everything that was sent under them as dead letters (foreign-gateway).
 */
import { X509Certificate } from 'node:crypto';
import type { CheckSite, ProviderIssue } from './provider-type.ts';

/** A name that is told to the other side, and where the entry says it. */
export interface ToldName {
  path: PropertyKey[];
  /** `the device`, `the common name of the certificate`. */
  what: string;
  name: string;
}

/** The names that are neither the gateway's nor `identity`, which says that the router maps that one. */
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

/** The common name of a PEM file's first certificate, which is the leaf; nothing where it cannot be told. */
export function certificateNames(
  file: string | undefined,
  path: PropertyKey[],
  { read }: CheckSite,
): ToldName[] {
  const leaf = leafOf(file === undefined ? null : read(file));
  const name = leaf?.toLegacyObject().subject.CN;
  return typeof name === 'string' ? [{ path, what: 'the common name of the certificate', name }] : [];
}

/** The first certificate of a PEM text; null where there is none to read: connecting with it says why. */
export function leafOf(pem: string | null): X509Certificate | null {
  if (pem === null) return null;
  try {
    return new X509Certificate(pem);
  } catch {
    return null;
  }
}
