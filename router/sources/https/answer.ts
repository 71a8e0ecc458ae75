/** An answer of the endpoint. */
export interface Answer {
  status: 200 | 204 | 400 | 403 | 422 | 429 | 503;
  /** Sent as JSON; null for none. */
  body: object | null;
  retryAfterS?: number;
}
