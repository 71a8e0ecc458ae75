// biome-ignore-all lint/suspicious/noTemplateCurlyInString: ${…} is the syntax under test.
/**
 * Hostile and careless configuration files of a seed: the examples with lines lost, doubled, moved,
 * re-indented and misspelt, with values that nobody expects, and with secrets wherever a file may have one.
 */
import { readdirSync, readFileSync } from 'node:fs';
import type { Entropy } from '../../../shared/entropy.ts';
import { ROOT } from '../../runner/run-file.ts';

export type Kind = 'agent' | 'router' | 'policy';

export interface HostileDocument {
  kind: Kind;
  text: string;
  env: Record<string, string>;
  files: Record<string, string>;
}

/** Each secret of a document begins so: a report that has it shows a secret. */
export const SECRET_MARK = 'S3CR3T';

const EXAMPLES = `${ROOT}docs/examples`;
const examples: ReadonlyArray<{ kind: Kind; lines: readonly string[] }> = readdirSync(EXAMPLES)
  .filter((name) => name.endsWith('.yaml'))
  .toSorted()
  .map((name) => ({
    kind: name.startsWith('agent') ? 'agent' : 'router',
    lines: readFileSync(`${EXAMPLES}/${name}`, 'utf8').split('\n'),
  }));

/** Mistakes of people, and of programs that write files for them. */
const VALUES: ReadonlyArray<(document: Draft) => string> = [
  () => '',
  () => '~',
  () => '-1',
  () => '1e999',
  () => '0x7fffffffffffffff',
  () => '99999999999999999999999999',
  () => '.nan',
  () => '2026-02-30',
  () => '[]',
  () => '{}',
  () => '[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]',
  () => '"\\u0000\\ufeff\\u202e\\ud800"',
  () => '!!binary AAAA',
  () => '!!js/function "x"',
  () => '*nowhere',
  () => '&a [*a]',
  () => '"unended',
  () => '|\n  text',
  () => `"${'x'.repeat(70_000)}"`,
  () => `{ ${Array.from({ length: 300 }, (_, i) => `k${i}: ${i}`).join(', ')} }`,
  () => '5',
  () => '5 minutes',
  () => 'true',
  ({ variable }) => `\${${variable()}}`,
  ({ variable }) => `\${${variable()}}\${${variable()}}`,
  () => '${NOT_SET}',
  () => '${not a name}',
  () => '${',
  ({ file }) => `file:${file()}`,
  () => 'file:/no/such/file',
  ({ secret }) => `mqtts://u:%zz${secret()}@h`,
  ({ secret }) => `postgres://u:${secret()}@%zz/db`,
  ({ secret }) => `https://user:${secret()}@example.com:70000/x y`,
  ({ secret }) => `"HostName=h;DeviceId=d;SharedAccessKey=${secret()}"`,
  ({ secret }) => `"Endpoint=sb://h/;SharedAccessKeyName=n;SharedAccessKey=${secret()};EntityPath=e"`,
  ({ secret }) => `{ password: ${secret()} }`,
  ({ secret }) => `{ secret_access_key: [${secret()}], x: 1 }`,
  ({ secret }) => `\n      token: ${secret()}\n      token: ${secret()}`,
];

/** Lines that a file may have anywhere. */
const LINES: ReadonlyArray<(document: Draft) => string> = [
  ({ secret }) => `password: ${secret()}`,
  ({ secret }) => `pasword: ${secret()}`,
  ({ secret }) => `  secret_access_key: "${secret()}"`,
  ({ secret }) => `    token: '${secret()}`,
  ({ secret }) => `connection_string: HostName=x;SharedAccessKey=${secret()}`,
  ({ secret }) => `url: mqtts://u:${secret()}@h`,
  ({ variable }) => `gateway: \${${variable()}}`,
  ({ file }) => `data_dir: file:${file()}`,
  () => '<<: *nothing',
  () => '? [a, b]\n: c',
  () => '---',
  () => '...',
  () => '%YAML 9.9',
  () => '\tx: 1',
  () => '__proto__: { polluted: true }',
  () => 'constructor: { prototype: { polluted: true } }',
  () => 'a: &a [x,x,x]\nb: &b [*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c]',
];

interface Draft {
  secret: () => string;
  variable: () => string;
  file: () => string;
}

/** The document of a seeded entropy. */
export function hostileDocument(entropy: Entropy): HostileDocument {
  const env: Record<string, string> = {};
  const files: Record<string, string> = {};
  const below = (bound: number): number => Math.floor(entropy.float() * bound);
  const oneOf = <T>(list: readonly T[], otherwise: T): T => list[below(list.length)] ?? otherwise;
  const secret = (): string => SECRET_MARK + Buffer.from(entropy.bytes(8)).toString('hex');
  const draft: Draft = {
    secret,
    variable() {
      const name = `V${Object.keys(env).length}`;
      // A variable may bring more than text: numbers, lines, references.
      env[name] = oneOf(['', '\n', '${V0}', ' '.repeat(below(2000))], '') + secret();
      return name;
    },
    file() {
      const name = `/f${Object.keys(files).length}`;
      files[name] = `${oneOf(['', '-----BEGIN PRIVATE KEY-----\n', '{"k":"'], '')}${secret()}\n`;
      return name;
    },
  };
  const example = oneOf(examples, { kind: 'agent', lines: [] });
  const lines = [...example.lines];
  for (let changes = 1 + below(8); changes > 0; changes -= 1) {
    const at = below(lines.length);
    const line = lines[at] ?? '';
    const change = below(8);
    if (change === 0) lines.splice(at, 1);
    else if (change === 1) lines.splice(at, 0, line);
    else if (change === 2) lines.splice(below(lines.length), 0, ...lines.splice(at, 1 + below(4)));
    else if (change === 3) lines[at] = line.replace(/\w/, '');
    else if (change === 4) lines[at] = ' '.repeat(below(6)) + line.trimStart();
    else if (change === 5) lines.splice(at, 0, oneOf(LINES, () => '')(draft));
    else lines[at] = line.replace(/(: ).*$/, (_, colon) => colon + oneOf(VALUES, () => '')(draft));
  }
  // Cut off, as a full disk leaves it.
  if (below(20) === 0) lines.length = below(lines.length);
  const kind = below(4) === 0 ? oneOf(['agent', 'router', 'policy'] as const, 'agent') : example.kind;
  return { kind, text: lines.join('\n'), env, files };
}
