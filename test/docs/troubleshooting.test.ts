/**
 * docs/troubleshooting.md explains every reason and state that the code can show in a status, a metric or a
 * log line, and every alert of the log.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { readTree } from '../tidy/tree.ts';

const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const page = readFileSync(`${root}/docs/troubleshooting.md`, 'utf8');
const sources = [...readTree(root).files].filter(([path]) => /^(?:agent|router|shared)\/.*\.ts$/.test(path));

/** Types with these names are shown to users. */
const TOLD = /^(?:export )?type (\w*(?:Reason|Refusal|State|Cause|ErrorCode)) =\n?([^;]*);/gm;

/** Unions of that kind that no user is shown. */
const UNTOLD: ReadonlySet<string> = new Set([
  // How a feed reads an error; a person is told the error and the record.
  'router/feeds/sink.ts Refusal',
]);

/** Texts of a union; null where it has other members, and so is not shown to users. */
function members(union: string): string[] | null {
  const parts = union.split('|').map((part) => part.trim());
  const isNamed = (part: string): boolean => part === '' || /^'[^']+'$/.test(part) || /^\w+$/.test(part);
  if (!parts.every(isNamed)) return null;
  return parts.flatMap((part) => /^'([^']+)'$/.exec(part)?.[1] ?? []);
}

function reasons(text: string): Array<[type: string, members: string[]]> {
  const code = text.replaceAll(/\/\*\*.*?\*\//gs, '');
  return [...code.matchAll(TOLD)].flatMap(([, name = '', union = '']) => {
    const texts = members(union);
    return texts === null ? [] : [[name, texts] as [string, string[]]];
  });
}

t.test('each reason, refusal, state and cause is explained', async (t) => {
  const all = sources.flatMap(([path, text]) =>
    reasons(text).map(([name, texts]) => ({ path, name, texts })),
  );
  t.ok(all.length >= 12, 'the unions are found');
  t.strictSame(
    all.flatMap(({ path, name, texts }) =>
      (UNTOLD.has(`${path} ${name}`) ? [] : texts)
        .filter((text) => !page.includes(`\`${text}\``))
        .map((text) => `${path} ${name}: ${text}`),
    ),
    [],
  );
});

t.test('each alert of the log is explained', async (t) => {
  const alerts = sources.flatMap(([path, text]) =>
    [...text.matchAll(/\.(?:warn|error|fatal)\(\s*\{[^}]*?event: '([\w.]+)'/g)].map(([, event = '']) => ({
      path,
      event,
    })),
  );
  t.ok(alerts.length > 40, 'the alerts are found');
  t.strictSame(
    alerts
      .filter(({ event }) => !page.includes(`\`${event}\``))
      .map(({ path, event }) => `${path}: ${event}`),
    [],
  );
});

t.test('the unions are read as they are written', async (t) => {
  const text =
    "/** Why. */\nexport type StopReason =\n  /** It's | over; or so. */\n  | 'over'\n  | 'a-b';\n";
  t.strictSame(reasons(text), [['StopReason', ['over', 'a-b']]]);
  t.strictSame(reasons("type OneState = { kind: 'a' } | { kind: 'b' };\n"), []);
});
