/**
 * A certificate authority created at start, so that loopback clouds use real TLS: ECDSA P-256, valid for ten
 * days.
 */
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { type Clock, dateOf } from '../shared/clock.ts';
import type { Entropy } from '../shared/entropy.ts';

export interface KeyAndCertificate {
  /** PEM. */
  cert: string;
  /** PKCS #8 PEM. */
  key: string;
}

/** A subject alternative name (RFC 5280, 4.2.1.6). */
export interface AlternativeName {
  type: 'dns' | 'url' | 'email' | 'ip';
  value: string;
}

export interface CertificateAuthority {
  /** PEM of the root. */
  ca: string;
  /**
   * Issues a server certificate for localhost and 127.0.0.1, or a client certificate with `commonName` and
   * `names`; without `names`, the common name is also its DNS name.
   */
  issue(
    commonName: string,
    use: 'server' | 'client',
    names?: readonly AlternativeName[],
  ): Promise<KeyAndCertificate>;
  /** A revocation list (CRL) of these certificates, in PEM. */
  revoke(certificates: readonly string[]): Promise<string>;
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const DAY_MS = 86_400_000;

export async function createCertificateAuthority(
  clock: Clock,
  entropy: Entropy,
): Promise<CertificateAuthority> {
  const validity = () => {
    const now = clock.wallMs();
    return { notBefore: dateOf(now - DAY_MS), notAfter: dateOf(now + 10 * DAY_MS) };
  };
  // The top bit stays clear: a serial number is positive (RFC 5280, 4.1.2.2).
  const serialNumber = (): string => `01${Buffer.from(entropy.bytes(8)).toString('hex')}`;
  const rootKeys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: 'CN=Headgate loopback CA',
    ...validity(),
    keys: rootKeys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(rootKeys.publicKey),
    ],
  });
  return {
    ca: root.toString('pem'),
    async revoke(certificates) {
      const { notBefore: thisUpdate, notAfter: nextUpdate } = validity();
      const list = await x509.X509CrlGenerator.create({
        issuer: root.subject,
        thisUpdate,
        nextUpdate,
        entries: certificates.map((pem) => ({
          serialNumber: new x509.X509Certificate(pem).serialNumber,
          revocationDate: thisUpdate,
        })),
        signingAlgorithm: ALGORITHM,
        signingKey: rootKeys.privateKey,
        extensions: [await x509.AuthorityKeyIdentifierExtension.create(rootKeys.publicKey)],
      });
      return x509.PemConverter.encode(list.rawData, 'X509 CRL');
    },
    async issue(commonName, use, names = namesOf(commonName, use)) {
      const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
      const certificate = await x509.X509CertificateGenerator.create({
        serialNumber: serialNumber(),
        subject: `CN=${commonName}`,
        issuer: root.subject,
        ...validity(),
        signingKey: rootKeys.privateKey,
        publicKey: keys.publicKey,
        signingAlgorithm: ALGORITHM,
        extensions: [
          new x509.BasicConstraintsExtension(false),
          new x509.ExtendedKeyUsageExtension([
            use === 'server' ? x509.ExtendedKeyUsage.serverAuth : x509.ExtendedKeyUsage.clientAuth,
          ]),
          new x509.SubjectAlternativeNameExtension([...names]),
          await x509.AuthorityKeyIdentifierExtension.create(rootKeys.publicKey),
        ],
      });
      const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
      return { cert: certificate.toString('pem'), key: x509.PemConverter.encode(pkcs8, 'PRIVATE KEY') };
    },
  };
}

function namesOf(commonName: string, use: 'server' | 'client'): AlternativeName[] {
  if (use === 'client') return [{ type: 'dns', value: commonName }];
  return [
    { type: 'dns', value: 'localhost' },
    { type: 'ip', value: '127.0.0.1' },
  ];
}
