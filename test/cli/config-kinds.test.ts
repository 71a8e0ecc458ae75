/** The kind that `config check` assumes for a file, and its consequences. */
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { checkConfig } from '../../cli/check-config.ts';
import { command, folderWith } from './run.ts';

/** The mistakes of a file with this text: paths and messages. */
function checked(t: Test, text: string, kind: 'policy' | null = null) {
  const file = join(folderWith(t, { 'x.yaml': text }), 'x.yaml');
  const result = checkConfig(file, { kind, secrets: true });
  const mistakes = result.problems.map(({ path, message }) => `${path}: ${message}`);
  return { kind: result.kind, isGuess: result.isGuess, mistakes };
}

t.test('a file without the key that most have is known by its others', (t) => {
  t.strictSame(checked(t, 'version: 3\ncompliance: { required_certifications: [GDPR] }\n'), {
    kind: 'policy',
    isGuess: false,
    mistakes: [],
  });
  t.match(checked(t, 'data_dir: /tmp/x\nledger: { type: sqlite }\n'), {
    kind: 'router',
    isGuess: false,
    mistakes: [/^sources: missing/],
  });
  t.match(checked(t, 'broker: {}\nlog: {}\n'), { kind: 'agent', isGuess: false });
  t.match(checked(t, 'gateway: gw-1\nstreams: {}\n'), { kind: 'agent' }, 'a misplaced key changes nothing');
  t.end();
});

t.test('a file whose keys tell nothing is checked as an agent, and it says so', async (t) => {
  const file = join(folderWith(t, { 'x.yaml': 'log: { level: info }\n' }), 'x.yaml');
  const guess = /its keys do not show its kind: checked as agent; set --kind agent\|router\|policy/;
  t.match(await command(['config', 'check', file]), { code: 78, stderr: guess });
  const told = await command(['config', 'check', file, '--kind', 'router']);
  t.match(told, { code: 78, stderr: /sources/ });
  t.notMatch(told.stderr, guess);
});

t.test('an empty file is one mistake', (t) => {
  for (const text of ['', '# later\n', '{}\n']) {
    t.match(checked(t, text), { isGuess: true, mistakes: [': there is nothing in this file'] });
    t.match(checked(t, text, 'policy'), { mistakes: [] }, 'where a policy is asked for, all is by default');
  }
  t.end();
});

t.test('of a connection string whose variable is not set, nothing follows', (t) => {
  const router = (text: string): string => `data_dir: /tmp/x
sources:
  - name: az
    type: azure
    credentials: { connection_string: '${text}' }
`;
  const whole = 'Endpoint=sb://h.servicebus.windows.net/;SharedAccessKeyName=n;SharedAccessKey=';
  for (const text of [`\${HEADGATE_TEST_UNSET}`, `${whole}\${HEADGATE_TEST_UNSET}`]) {
    const { mistakes } = checked(t, router(text));
    t.match(mistakes, [/connection_string: the environment variable HEADGATE_TEST_UNSET is not set/]);
    t.equal(mistakes.length, 1, mistakes.join('\n'));
  }
  t.match(checked(t, router('nonsense')).mistakes, [/connection_string: expected Endpoint/]);
  t.match(checked(t, router(`${whole}k`)).mistakes, [/event_hub: name the event hub here/]);
  t.end();
});
