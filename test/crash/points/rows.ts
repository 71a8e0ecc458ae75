/** The records that the runs of these tests write. */
export const FIRST_ROWS = 10;
/** Of the first life's rows, those that a later life reports as delivered. */
export const ACCEPTED = { first: 3, last: 8 };
/** A record that the run gives up. */
export const GIVEN_UP = { first: 9, last: 9 };
/** Each with what the broker keeps of a QoS 2 publish. */
export const BATCH_ROWS = 5;
/**
 * Appended and delivered to leave more unused pages of 4 KiB than the store keeps
 * (agent/store/thread/database.ts).
 */
export const BULK = { rows: 2000, payloadBytes: 4000 };
