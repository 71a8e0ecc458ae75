import t from 'tap';
import { licences, refusedLicences } from '../../build/licences.ts';

t.test('every package of an installation has a licence that is allowed', (t) => {
  t.ok(licences().length > 100, `${licences().length} packages`);
  t.same(refusedLicences(), []);
  t.end();
});

t.test(
  'a licence that is not allowed, and none, are refused; those of development alone are not asked',
  (t) => {
    const packages = {
      '': { version: '1.0.0', license: 'GPL-3.0' },
      'node_modules/free': { version: '1.0.0', license: 'MIT' },
      'node_modules/free/node_modules/copyleft': { version: '2.0.0', license: 'GPL-3.0-only' },
      'node_modules/silent': { version: '3.0.0' },
      'node_modules/choice': { version: '4.0.0', license: '(MIT OR GPL-3.0)' },
      'node_modules/tool': { version: '5.0.0', license: 'GPL-3.0', dev: true },
      'node_modules/machina': { version: '6.0.0' },
    };
    t.same(
      refusedLicences({ packages }).map(({ name, licence }) => [name, licence]),
      [
        ['copyleft', 'GPL-3.0-only'],
        ['silent', 'none'],
        ['choice', '(MIT OR GPL-3.0)'],
      ],
    );
    t.end();
  },
);
