/** The `name` of an entry in a list of router.yaml. */
import { identifier } from '../shared/config/kinds.ts';

export const entryName = identifier().describe(
  'Your name for the entry, in metrics, in logs and in the ledger. Do not change it later.',
);
