/** The bounds that the contract's engines are opened with. */
import type { ShareRules } from '../../../router/ledger/rules/shares.ts';

/** Gateways of these names have shares; all others only the bound of all. */
const shares: ShareRules = {
  rows: 0,
  bytes: 0,
  groups: [
    { gateways: ['few-*'], rows: 3 },
    { gateways: ['small-*'], bytes: 5000 },
  ],
};

export const LIMITS = {
  deadLetters: { rowsMax: 10_000, bytesMax: 4 * 1024 * 1024, ageMsMax: 60_000, shares },
  conflicts: { rowsMax: 100_000, bytesMax: 64 * 1024 * 1024, shares },
};
