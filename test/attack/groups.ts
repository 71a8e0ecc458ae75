/** All groups of attacks. */
import type { Group } from './attack.ts';
import { admin, adminLogin } from './cases/admin.ts';
import { audit } from './cases/audit.ts';
import { bombing } from './cases/bombs.ts';
import { broker } from './cases/broker.ts';
import { cardFiles, cardKeys } from './cases/card.ts';
import { endpoint } from './cases/endpoint.ts';
import { envelopes } from './cases/envelopes.ts';
import { floods } from './cases/floods.ts';
import { local } from './cases/local.ts';
import { logins } from './cases/logins.ts';
import { receipts } from './cases/receipts.ts';
import { revokedDevices, revokedGateways } from './cases/revocation.ts';
import { sealing } from './cases/sealing.ts';
import { stored } from './cases/stored.ts';
import { terminal } from './cases/terminal.ts';

export const GROUPS: readonly Group[] = [
  envelopes,
  bombing,
  floods,
  stored,
  endpoint,
  broker,
  logins,
  admin,
  adminLogin,
  receipts,
  cardFiles,
  cardKeys,
  revokedDevices,
  revokedGateways,
  local,
  terminal,
  sealing,
  audit,
];
