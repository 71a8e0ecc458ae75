/**
 * `router` creates a missing ledger, and has an embedded ledger for itself. `tool` maintains a ledger beside
 * the router and creates nothing.
 */
export type LedgerRole = 'router' | 'tool';
