/** A broker behind TLS whose certificates are of an authority of the test. */
import { join } from 'node:path';
import type { Test } from 'tap';
import type { DeviceNameField } from '../../../../agent/broker/access/certificate-name.ts';
import type { Device } from '../../../../agent/broker/access/device-file.ts';
import type { ListenerAuth } from '../../../../agent/broker/access/gate.ts';
import type { BrokerOptions } from '../../../../agent/broker/options.ts';
import { createCertificateAuthority } from '../../../../loopback/ca.ts';
import { systemClock } from '../../../../shared/clock.ts';
import { systemEntropy } from '../../../../shared/entropy.ts';
import { testDir } from '../../../test-dir.ts';
import { device, type Gated, startGated } from '../access/devices-fixture.ts';

export const authority = await createCertificateAuthority(systemClock, systemEntropy);
/** An authority that the broker does not trust. */
export const stranger = await createCertificateAuthority(systemClock, systemEntropy);
export const server = await authority.issue('gateway', 'server');

const DEVICES = [device('pump-1'), device('pump-2'), device('off', { disabled: true })];

interface TlsGiven {
  limits?: Partial<BrokerOptions['limits']>;
  deviceName?: DeviceNameField;
  devices?: Device[];
  /** With a revocation list of no certificate. */
  revocations?: boolean;
}

export async function startTls(
  t: Test,
  auth: ListenerAuth,
  { limits = {}, deviceName = 'cn', devices = DEVICES, revocations = false }: TlsGiven = {},
): Promise<Gated> {
  // The listener's files stand beside the device file, in a folder of the test.
  const files = { 'cert.pem': server.cert, 'key.pem': server.key, 'ca.pem': authority.ca };
  const dir = testDir(t, { ...files, 'crl.pem': await authority.revoke([]) });
  const tls = {
    certFile: join(dir, 'cert.pem'),
    keyFile: join(dir, 'key.pem'),
    clientCaFile: join(dir, 'ca.pem'),
    clientCrlFile: revocations ? join(dir, 'crl.pem') : undefined,
    auth,
    deviceName,
  };
  const gated = await startGated(
    t,
    { devices },
    { listeners: [{ type: 'tls', host: '127.0.0.1', port: 0, tls }], allowAnonymous: true, limits },
  );
  return { ...gated, dir };
}

export const trusting = { protocol: 'mqtts' as const, ca: authority.ca };
