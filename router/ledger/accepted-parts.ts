/**
 * The parts of a ledger that a router can go on without, and what is missed then: a line for the operator who
 * accepts that. Without any other part records would be missed, or taken twice.
 */

const CONSEQUENCES: Readonly<Record<string, string>> = {
  cursor:
    'feeds go on where it says, or from the start, and deliver again; headgate feeds reset sets a position',
  cursor_progress: 'feeds with hold_back deliver again what they had passed on early',
  checkpoint: 'Event Hubs partitions are read again from there; the ledger drops the repeats',
  boot_clock: 'wall times of records from before the clock was set are not corrected',
  conflict: 'versions that were kept aside are gone from it',
  contact: 'gateways are listed from their next envelope on',
  dead_letter: 'dead letters are gone from it',
  erasure: 'the list of erasures lacks some',
  repetition: 'headgate ledger where lacks repetitions',
  volume: 'it was counted anew',
  share: 'it was counted anew',
  kept: 'it was counted anew',
  ping: 'nothing is missed',
};

/** `part`: a table, or the end of a JetStream stream's name. Null where no router can go on without it. */
export function consequenceOf(part: string): string | null {
  return CONSEQUENCES[part] ?? null;
}
