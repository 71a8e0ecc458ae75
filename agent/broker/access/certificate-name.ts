/**
 * Which device a client certificate names: by its common name, or by a subject alternative name of one kind.
 * The whole value is the device's name, compared as it stands: a part of it (the host of a URI, what stands
 * before an `@`) could be the same in certificates of two devices. A certificate that has not exactly one
 * name of the kind names nobody: which of two is meant must not depend on their order, nor on what devices
 * there are.
 */
import type { TLSSocket } from 'node:tls';
import { commonNameOf } from '../../../shared/tls-files.ts';
import { alternativeNames } from './alternative-names.ts';
import { DEVICE_NAME_PATTERN } from './device-file.ts';

/** The common name, or the alternative name that is a DNS name, a URI or an e-mail address. */
export const DEVICE_NAME_FIELDS = ['cn', 'san_dns', 'san_uri', 'san_email'] as const;
export type DeviceNameField = (typeof DEVICE_NAME_FIELDS)[number];

/** Who is named, or why nobody is: for the log, without anything that the certificate holds. */
export type CertificateName = { name: string } | { problem: string };

const LABEL = { san_dns: 'DNS', san_uri: 'URI', san_email: 'email' } as const;

/**
 * Null when the client showed no certificate. Says nothing about who signed it: that is `socket.authorized`.
 */
export function certificateNameOf(socket: TLSSocket, field: DeviceNameField): CertificateName | null {
  if (field === 'cn') {
    const name = commonNameOf(socket);
    if (name === null) return null;
    return name === '' ? { problem: 'the certificate has not exactly one common name' } : named(name);
  }
  const certificate = socket.getPeerX509Certificate();
  if (!certificate) return null;
  const names = alternativeNames(certificate.subjectAltName);
  if (names === null) return { problem: 'the subject alternative names of the certificate cannot be read' };
  const ofKind = names.filter(({ label }) => label === LABEL[field]);
  const [found] = ofKind;
  if (!found || ofKind.length > 1)
    return { problem: `the certificate has ${ofKind.length} names of kind ${field} where one is expected` };
  return named(found.value ?? '');
}

function named(name: string): CertificateName {
  return DEVICE_NAME_PATTERN.test(name)
    ? { name }
    : { problem: 'what the certificate holds is no name of a device' };
}
