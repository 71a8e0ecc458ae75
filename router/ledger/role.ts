/**
 * `router` makes the ledger where it is missing, and has an embedded one for itself. `tool` looks after a
 * ledger beside the router: it makes nothing.
 */
export type LedgerRole = 'router' | 'tool';
