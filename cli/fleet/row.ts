/** One file of a fleet folder, as `headgate fleet verify` tells it. */
export interface Row {
  file: string;
  /** `root 1`, `assignment 7 of group eu`. */
  is: string;
  /** SHA-256 of a signed document's content; null for what is not signed or cannot be read. */
  digest: string | null;
  /** Ids of the keys that count. */
  signedBy: readonly string[];
  /** `ok`, or the mistake; with a gateway, what it would do. */
  verdict: string;
}
