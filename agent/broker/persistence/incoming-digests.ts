/** The content of each QoS 2 publish that waits for PUBREL, by client and packet id. */
export class IncomingDigests {
  readonly #digests = new Map<string, Map<number, string | null>>();

  /** Undefined when no publish waits under the packet id; null when its content is unknown. */
  get(client: string, messageId: number): string | null | undefined {
    return this.#digests.get(client)?.get(messageId);
  }

  set(client: string, messageId: number, digest: string | null): void {
    const digests = this.#digests.get(client) ?? new Map<number, string | null>();
    this.#digests.set(client, digests.set(messageId, digest));
  }

  delete(client: string, messageId: number): void {
    const digests = this.#digests.get(client);
    digests?.delete(messageId);
    if (digests?.size === 0) this.#digests.delete(client);
  }

  deleteAll(client: string): void {
    this.#digests.delete(client);
  }
}
