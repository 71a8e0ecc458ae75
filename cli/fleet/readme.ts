/** The README of a new fleet folder. */
import { PLACES } from './folder.ts';

export function readmeOf(authority: string, rootDigest: string): string {
  return `# Fleet ${authority}

| here | is |
|---|---|
| \`${PLACES.roots}/\` | the signed roots, one file a version: which keys may sign what |
| \`${PLACES.policy}\` | the policy of the fleet |
| \`${PLACES.groups}/<name>.yaml\` | a group, with a \`note\` |
| \`${PLACES.gateways}/<name>.yaml\` | a gateway, with its \`labels\` and \`groups\` |
| \`${PLACES.signed}/\` | signed policies, assignments and orders |

Nothing here is secret, and this folder belongs in a repository. The private keys lie elsewhere and do not.

A gateway believes this fleet by the digest of its first root:

\`\`\`
${rootDigest}
\`\`\`

\`headgate fleet verify --root ${rootDigest} <this folder>\` says who signed what, and what is wrong.
`;
}
