import t from 'tap';
import { licences, refusedLicences } from '../../build/licences.ts';

t.test('every package of an installation has a licence that is allowed', (t) => {
  t.ok(licences().length > 100, `${licences().length} packages`);
  t.same(refusedLicences(), []);
  t.end();
});
