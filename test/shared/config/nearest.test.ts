import t from 'tap';
import { nearest } from '../../../shared/config/nearest.ts';

const NAMES = ['region', 'credentials', 'max_bytes', 'port', 'aws'];

t.test('a slip of the hand finds its name', async (t) => {
  const slips = {
    regoin: 'region',
    credentails: 'credentials',
    maxBytes: 'max_bytes',
    'MAX-BYTES': 'max_bytes',
    prot: 'port',
    asw: 'aws',
  };
  for (const [slip, meant] of Object.entries(slips)) t.equal(nearest(slip, NAMES), meant, slip);
});

t.test('what is near to nothing finds nothing', async (t) => {
  for (const name of ['', 'x', 'telemetry', 'gcp', 'r'.repeat(1000)])
    t.equal(nearest(name, NAMES), null, name);
});
