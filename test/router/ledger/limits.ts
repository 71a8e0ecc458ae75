/** The bounds that the contract's engines are opened with. */
export const LIMITS = {
  deadLetters: { rowsMax: 10_000, bytesMax: 64 * 1024 * 1024, ageMsMax: 60_000 },
};
