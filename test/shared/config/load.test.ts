// biome-ignore-all lint/suspicious/noTemplateCurlyInString: ${…} is the syntax under test.
import fc from 'fast-check';
import t from 'tap';
import { z } from 'zod';
import { byteSize, duration } from '../../../shared/config/kinds.ts';
import { type ConfigProblem, formatProblems, loadConfig } from '../../../shared/config/load.ts';

const schema = z.strictObject({
  port: z.int().min(1).max(65_535).default(1883).describe('Where it listens.'),
  tls: z.boolean().default(false),
  wait: duration().default(5000),
  size: byteSize().default(1024),
  providers: z
    .array(
      z.discriminatedUnion('type', [
        z.strictObject({
          type: z.literal('aws'),
          region: z.string().describe('Where the endpoint is, for example eu-west-1.'),
          credentials: z.strictObject({ secret_access_key: z.string().min(8) }).optional(),
        }),
        z.strictObject({
          type: z.literal('mqtt'),
          url: z.url(),
          auth: z
            .union([
              z.strictObject({ password: z.string() }),
              z.strictObject({ token: z.string(), user: z.string() }),
            ])
            .optional(),
        }),
      ]),
    )
    .default([]),
});

interface Files {
  env?: Record<string, string>;
  files?: Record<string, string>;
}

function load(text: string, { env = {}, files = {} }: Files = {}) {
  const all: Record<string, string> = { 'a.yaml': text, ...files };
  return loadConfig('a.yaml', schema, {
    env,
    readFile(file) {
      const content = all[file];
      if (content === undefined) throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
      return content;
    },
  });
}

function problemsIn(text: string, files: Files = {}): ConfigProblem[] {
  const result = load(text, files);
  if (result.ok) throw new Error('the configuration was taken');
  return result.problems;
}

function onlyProblem(text: string, files: Files = {}): ConfigProblem {
  const problems = problemsIn(text, files);
  const [first] = problems;
  if (first === undefined || problems.length > 1)
    throw new Error(`${problems.length} problems: ${formatProblems(problems)}`);
  return first;
}

t.test('a sound file is parsed, with defaults, durations and sizes', async (t) => {
  const result = load('wait: 250ms\nsize: 2MiB\nproviders:\n  - { type: aws, region: eu-west-1 }\n');
  t.strictSame(result, {
    ok: true,
    config: {
      port: 1883,
      tls: false,
      wait: 250,
      size: 2 ** 21,
      providers: [{ type: 'aws', region: 'eu-west-1' }],
    },
  });
  t.ok(load('').ok, 'an empty file is an empty mapping');
  t.ok(load('# only a comment\n').ok);
});

t.test('every mistake is in one report, in file order, each with its place', async (t) => {
  const text = [
    'port: 99999', // 1
    'wait: 5 seconds', // 2
    'providers:', // 3
    '  - type: aws', // 4
    '    regoin: eu-west-1', // 5
    '  - type: mqt', // 6
    '    url: x', // 7
    '  - type: mqtt', // 8
    '    url: nonsense', // 9
    'tls: maybe', // 10
    'prot: 1', // 11
  ].join('\n');
  const problems = problemsIn(text);
  t.strictSame(
    problems.map((p) => [p.path, p.line, p.column]),
    [
      ['port', 1, 7],
      ['wait', 2, 7],
      ['providers[0].region', 4, 5],
      ['providers[0].regoin', 5, 5],
      ['providers[1].type', 6, 11],
      ['providers[2].url', 9, 10],
      ['tls', 10, 6],
      ['prot', 11, 1],
    ],
  );
  const by = new Map(problems.map((p) => [p.path, p]));
  t.match(by.get('port'), {
    message: 'expected at most 65535',
    found: '99999',
    hint: /leave it out for the default, 1883/,
  });
  t.match(by.get('wait'), {
    message: /expected a duration such as 250ms/,
    found: '"5 seconds"',
    hint: /default, 5s/,
  });
  t.match(by.get('providers[0].region'), {
    message: 'missing; expected a text',
    found: null,
    hint: /add "region": Where the endpoint is/,
  });
  t.match(by.get('providers[0].regoin'), { message: 'unknown key', hint: 'did you mean "region"?' });
  t.match(by.get('providers[1].type'), {
    message: 'expected one of aws, mqtt',
    found: '"mqt"',
    hint: 'did you mean "mqtt"?',
  });
  t.match(by.get('tls'), { message: 'expected true or false', found: '"maybe"' });
  t.equal(by.get('prot')?.hint, 'did you mean "port"?');
});

t.test('the text form names file, line, column, path, expectation, value and fix', async (t) => {
  t.equal(
    formatProblems(problemsIn('port: abc\nxyz: 1\n')),
    [
      'a.yaml: 2 mistakes',
      '  a.yaml:1:7  port',
      '    expected a number; found "abc"',
      '    fix: correct it, or leave it out for the default, 1883',
      '  a.yaml:2:1  xyz',
      '    unknown key',
      '    fix: remove it; known here: port, tls, wait, size, providers',
    ].join('\n'),
  );
});

t.test('of a union, the mistakes of the nearest alternative are told', async (t) => {
  const problem = onlyProblem('providers: [{ type: mqtt, url: "mqtt://x", auth: { token: abcdefgh } }]');
  t.match(problem, { path: 'providers[0].auth.user', message: 'missing; expected a text' });
});

t.test('environment references', async (t) => {
  await t.test('are replaced inside texts; $${ is a literal', async (t) => {
    const result = load('providers: [{ type: aws, region: "$${x}-${ZONE}-west-${N}" }]', {
      env: { ZONE: 'eu', N: '1' },
    });
    t.match(result, { ok: true, config: { providers: [{ region: '${x}-eu-west-1' }] } });
  });

  await t.test('become a number or a boolean only where the schema wants one', async (t) => {
    const text = 'port: ${PORT}\ntls: ${TLS}\nproviders: [{ type: aws, region: "${REGION}" }]';
    const result = load(text, { env: { PORT: '8883', TLS: 'true', REGION: '12345' } });
    t.match(result, { ok: true, config: { port: 8883, tls: true, providers: [{ region: '12345' }] } });
    t.match(onlyProblem('port: ${PORT}', { env: { PORT: 'http' } }), { path: 'port', found: '"${PORT}"' });
  });

  await t.test(
    'a missing one, an empty one and a malformed one are mistakes, once each, beside the others',
    async (t) => {
      const text = 'port: ${NOPE}\nproviders: [{ type: aws, region: "${EMPTY}" }]\nwait: ${a-b}\ntls: 3';
      const problems = problemsIn(text, { env: { EMPTY: '' } });
      t.strictSame(
        problems.map((p) => [p.path, p.line, p.message]),
        [
          ['port', 1, 'the environment variable NOPE is not set'],
          ['providers[0].region', 2, 'the environment variable EMPTY is empty'],
          ['wait', 3, 'expected the name of an environment variable in the braces'],
          ['tls', 4, 'expected true or false'],
        ],
      );
    },
  );
});

t.test('file references', async (t) => {
  const text = (reference: string): string =>
    `providers: [{ type: aws, region: r, credentials: { secret_access_key: "${reference}" } }]`;

  await t.test('are replaced by the content, without its last newline only', async (t) => {
    const result = load(text('file:/run/key'), { files: { '/run/key': 'top\nsecret${X}\n' } });
    t.match(result, {
      ok: true,
      config: { providers: [{ credentials: { secret_access_key: 'top\nsecret${X}' } }] },
    });
  });

  await t.test('may stand in a folder that the environment names', async (t) => {
    const sources = { env: { CREDENTIALS_DIRECTORY: '/run/c' }, files: { '/run/c/aws': '12345678' } };
    t.match(load(text('file:${CREDENTIALS_DIRECTORY}/aws'), sources), { ok: true });
  });

  await t.test('an unreadable one is a mistake that names the file', async (t) => {
    const problem = onlyProblem(text('file:/run/key'));
    t.match(problem, {
      path: 'providers[0].credentials.secret_access_key',
      message: /\/run\/key \(ENOENT\)/,
    });
  });

  await t.test('a variable that holds "file:/…" is not followed', async (t) => {
    const result = load('providers: [{ type: aws, region: "${R}" }]', { env: { R: 'file:/etc/passwd' } });
    t.match(result, { ok: true, config: { providers: [{ region: 'file:/etc/passwd' }] } });
  });
});

t.test('a report never shows a secret', async (t) => {
  const secret = 'hunter2-hunter2';
  const reports = [
    // A literal in a secret field, too short for the schema, of the wrong type, under an unknown key.
    problemsIn('providers: [{ type: aws, region: r, credentials: { secret_access_key: "h2" } }]'),
    problemsIn(`providers: [{ type: aws, region: r, credentials: { secret_access_key: ["${secret}"] } }]`),
    problemsIn(`providers: [{ type: aws, region: r, credentials: ${secret} }]`),
    problemsIn(`providers: [{ type: aws, region: r, password: ${secret} }]`),
    // The value of a reference, in a field that is not named like a secret.
    problemsIn('port: ${P}', { env: { P: secret } }),
    problemsIn('port: file:/p', { files: { '/p': secret } }),
    // A password in a URL or a key in a connection string, in a field that is not named like a secret.
    problemsIn(`port: mqtt://me:${secret}@host`),
    problemsIn(`port: HostName=h;SharedAccessKey=${secret};x=y`),
    // Lines of the file that a text took in: after `|`, and in quotes that were left open.
    problemsIn(`providers: |\n  text\n    x: '${secret}`),
    problemsIn(`port: "80\n\n  x: ${secret}"`),
    problemsIn(`port: "80\n  password: ${secret}\n  x: "`),
    // After a long one that is hidden.
    problemsIn(`port: "mqtt://u:${'long'.repeat(30)}@h\n  password: ${secret}\n  x: "`),
    // Broken YAML around a secret.
    problemsIn(`password: "${secret}`),
    problemsIn(`- a\npassword: "${secret}"`),
    problemsIn(`{ password: x } ${secret}`),
  ];
  for (const report of reports) {
    t.ok(report.length > 0);
    t.notMatch(formatProblems(report), /hunter2|h2"/);
    t.notMatch(JSON.stringify(report), /hunter2|h2"/);
  }
});

t.test('what cannot be parsed is reported by place, and nothing is thrown', async (t) => {
  t.match(onlyProblem('a: [1,\n'), { path: '', message: /not valid YAML/, line: 2 });
  t.match(onlyProblem('port: 1\nport: 2'), { message: /not valid YAML: Map keys must be unique/, line: 2 });
  t.match(onlyProblem('port: *nope'), { message: /not valid YAML/ });
  t.match(onlyProblem('port: &x [*x]'), { message: /nested deeper/ });
  t.match(onlyProblem('- 1'), { path: '', message: 'expected a mapping', found: 'a list of 1' });
  const missing = loadConfig('gone.yaml', schema, {
    env: {},
    readFile() {
      throw Object.assign(new Error('x'), { code: 'EACCES' });
    },
  });
  t.match(missing, {
    ok: false,
    problems: [{ file: 'gone.yaml', line: null, message: 'cannot be read (EACCES)' }],
  });
});

t.test('keys that look like prototype members are plain unknown keys', async (t) => {
  const problems = problemsIn('__proto__: { polluted: 1 }\nconstructor: 2\n');
  t.strictSame(
    problems.map((p) => p.path),
    ['__proto__', 'constructor'],
  );
  t.equal(Reflect.get({}, 'polluted'), undefined);
});

t.test('whatever a file holds, the answer is a configuration or a report with places', async () => {
  const sound =
    'port: 1\nproviders:\n  - { type: aws, region: "${R}" }\n  - { type: mqtt, url: "mqtt://x" }\n';
  const damaged = fc
    .tuple(fc.nat({ max: sound.length }), fc.nat({ max: 8 }), fc.string({ maxLength: 6 }))
    .map(([at, cut, text]) => sound.slice(0, at) + text + sound.slice(at + cut));
  const answers = fc.property(fc.oneof(fc.string(), damaged), (text) => {
    const result = load(text);
    if (result.ok) return true;
    return (
      result.problems.length > 0 && result.problems.every(({ line, hint }) => line !== null && hint !== '')
    );
  });
  fc.assert(answers, { numRuns: 300, seed: 1 });
});
