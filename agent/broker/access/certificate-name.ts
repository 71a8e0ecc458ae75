/**
 * The device that a client certificate names: by its common name, or by a subject alternative name of one
 * kind. The device's name is the whole value, unchanged: a part of it (the host of a URI, the local part of
 * an e-mail address) could be the same in the certificates of two devices. A certificate must have exactly
 * one name of the kind; with two, the device would depend on the order of the names or on the known devices.
 */
import type { TLSSocket } from 'node:tls';
import { commonNameOf } from '../../../shared/tls-files.ts';
import { alternativeNames } from './alternative-names.ts';
import { DEVICE_NAME_PATTERN } from './device-file.ts';

/** `cn`: the common name. The others: an alternative name that is a DNS name, a URI or an e-mail address. */
export const DEVICE_NAME_FIELDS = ['cn', 'san_dns', 'san_uri', 'san_email'] as const;
export type DeviceNameField = (typeof DEVICE_NAME_FIELDS)[number];

/**
 * The name, or the reason why the certificate names no device: for the log, without content of the
 * certificate.
 */
export type CertificateName = { name: string } | { problem: string };

const LABEL = { san_dns: 'DNS', san_uri: 'URI', san_email: 'email' } as const;

/**
 * Null when the client sent no certificate. This function does not check the signature: `socket.authorized`
 * tells that.
 */
export function certificateNameOf(socket: TLSSocket, field: DeviceNameField): CertificateName | null {
  if (field === 'cn') {
    const name = commonNameOf(socket);
    if (name === null) return null;
    return name === '' ? { problem: 'the certificate must have exactly one common name' } : named(name);
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
    : { problem: 'the name in the certificate is not a valid device name' };
}
