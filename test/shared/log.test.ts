import t from 'tap';
import { errorText } from '../../shared/log.ts';

t.test('every thrown value has a text', async (t) => {
  const cases: [unknown, string][] = [
    [new Error('gone'), 'gone'],
    [new TypeError(''), 'TypeError'],
    ['refused', 'refused'],
    [{ code: 14, details: 'UNAVAILABLE', metadata: {} }, 'UNAVAILABLE'],
    [{ message: 'cut' }, 'cut'],
    [{ code: 2, details: '' }, 'an error without a text'],
    [undefined, 'undefined'],
    [new Error('x'.repeat(600)), `${'x'.repeat(500)}…`],
  ];
  for (const [thrown, text] of cases) t.equal(errorText(thrown), text);
});
