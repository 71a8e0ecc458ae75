/** Which gateway a name that a provider authenticated may send for. */

/** Names that the provider authenticates, each with the gateway that it may send for, where they differ. */
export type Identities = Readonly<Record<string, string>>;

/**
 * The gateway that an authenticated name sends for: the one in `identities`, else the gateway of the same
 * name.
 */
export function gatewayOf(authenticated: string, identities: Identities): string {
  return Object.hasOwn(identities, authenticated)
    ? (identities[authenticated] ?? authenticated)
    : authenticated;
}
