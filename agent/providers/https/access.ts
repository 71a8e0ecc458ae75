/**
 * Access of a gateway to a router over HTTPS, with authentication by client certificate, by signed token, or
 * by both.
 */
import { z } from 'zod';
import { TOKEN_AUDIENCE } from '../../../shared/gateway-token.ts';
import { networkAccess } from '../../../shared/network/options.ts';

const file = z.string().min(1).optional();

export const httpsCredentials = {
  cert_file: file.describe('PEM file of the client certificate; its common name is the gateway’s name.'),
  key_file: file.describe('PEM file of the client certificate’s private key.'),
  token_key_file: file.describe(
    'PEM file (PKCS #8) of the Ed25519 or P-256 private key that signs this gateway’s tokens.',
  ),
};

/** Options of every entry that connects to a router; spread into the entry's own object. */
export const httpsAccess = {
  url: z
    .url({ protocol: /^https$/, error: 'expected a URL such as https://router.example:8443' })
    .describe('URL of the router’s source of type https, or of the proxy in front of it.'),
  ca_file: file.describe(
    'PEM file of the only certificate authorities to trust, instead of those in Node.js.',
  ),
  ...httpsCredentials,
  audience: z
    .string()
    .min(1)
    .default(TOKEN_AUDIENCE)
    .describe('The `aud` of the tokens; the router’s source must have the same audience.'),
  ...networkAccess,
};

export type HttpsAccess = z.output<z.ZodObject<typeof httpsAccess>>;

/** A certificate needs its key. Without a certificate, there must be a key for tokens. */
export function loginProblem(
  access: Pick<HttpsAccess, keyof typeof httpsCredentials>,
  context: z.RefinementCtx,
): void {
  const { cert_file, key_file, token_key_file } = access;
  const issue = (path: string, message: string, hint: string): void =>
    context.addIssue({ code: 'custom', path: [path], message, params: { hint } });
  if ((cert_file === undefined) !== (key_file === undefined))
    issue(cert_file === undefined ? 'cert_file' : 'key_file', 'missing', 'give both, or neither');
  if (cert_file === undefined && token_key_file === undefined)
    issue(
      'token_key_file',
      'the router could not authenticate this gateway',
      'give cert_file and key_file, or token_key_file',
    );
}
