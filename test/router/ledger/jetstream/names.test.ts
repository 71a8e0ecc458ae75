import t from 'tap';
import { Names } from '../../../../router/ledger/jetstream/names.ts';

const names = new Names('headgate');

function subjectOf(gateway: string, epoch = '1-aa', stream = 'telemetry'): string {
  return names.recordsOf({ gateway, epoch, stream });
}

t.test('a usual stream is readable in its subject', async (t) => {
  t.equal(subjectOf('gw-1'), 'headgate.records.gw-1.1-aa.telemetry');
});

t.test('no id adds a token, a wildcard or a space, and no two have the same subject', async (t) => {
  const ids = [
    '',
    '.',
    '*',
    '>',
    ' ',
    'a.b',
    'a=2eb',
    'a\nb',
    'ä',
    '=',
    '==',
    '\ud800',
    '𝄞',
    'x'.repeat(70_000),
  ];
  const subjects = ids.flatMap((id) => [subjectOf(id), subjectOf('a', id), subjectOf('a', 'b', id)]);
  for (const subject of subjects) {
    t.match(subject, /^headgate\.records(\.[A-Za-z0-9_=-]+){3}$/);
    t.ok(subject.length < 500);
  }
  t.equal(new Set(subjects).size, subjects.length);
});

t.test('each JetStream stream takes its own subjects and no others', async (t) => {
  const all = Object.values(names.subjects).flat();
  t.equal(new Set(all).size, all.length);
  const key = { gateway: 'g', epoch: 'e', stream: 's' };
  for (const subject of [names.stream(key), names.gateway('g'), names.page(key, 3), names.checkpoint]) {
    t.match(subject, /^headgate\.state\./);
  }
  t.ok(names.stream(key).startsWith(names.streams('g')) && names.stream(key).startsWith(names.streams()));
  for (const subject of [names.ping, names.cursor('f'), names.position('a', '0')]) {
    t.match(subject, /^headgate\.cursor\./);
  }
});
