/** How much the lives of these tests write: enough that what the acceptance frees is worth a vacuum (over 1024 pages of 4 KiB). */
export const FIRST_ROWS = 1400;
export const BATCH_ROWS = 5;
export const ACCEPTED = { first: 3, last: 1390 };
export const ROW_PAD = 'x'.repeat(4000);
