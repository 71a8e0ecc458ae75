import t from 'tap';
import { ShadowStore } from '../../../loopback/aws/shadow.ts';
import { systemClock } from '../../../shared/clock.ts';

function store(): ShadowStore {
  return new ShadowStore({ ...systemClock, wallMs: () => 1_700_000_000_500 });
}

t.test('merges, removes null, counts versions, and shows what is still to be done', (t) => {
  const shadows = store();
  const update = (state: object) => shadows.update('gw-1', 'policy', JSON.stringify({ state }));
  t.same(update({ desired: { policy: { version: 3, text: 'abc' }, old: 1 } }), {
    kind: 'document',
    document: {
      state: { desired: { policy: { version: 3, text: 'abc' }, old: 1 } },
      version: 1,
      timestamp: 1_700_000_000,
    },
  });
  update({
    desired: { old: null, policy: { version: 4 } },
    reported: { policy: { version: 3, text: 'abc' } },
  });
  t.same(shadows.get('gw-1', 'policy'), {
    kind: 'document',
    document: {
      state: {
        desired: { policy: { version: 4, text: 'abc' } },
        reported: { policy: { version: 3, text: 'abc' } },
        delta: { policy: { version: 4 } },
      },
      version: 2,
      timestamp: 1_700_000_000,
    },
  });
  update({ reported: { policy: { version: 4 } } });
  t.notMatch(shadows.get('gw-1', 'policy'), { document: { state: { delta: {} } } }, 'no delta once reported');
  update({ desired: null });
  t.match(shadows.get('gw-1', 'policy'), { document: { state: { desired: {} }, version: 4 } });
  t.end();
});

t.test('keeps things and names apart', (t) => {
  const shadows = store();
  shadows.update('gw-1', 'policy', '{"state":{"desired":{"a":1}}}');
  t.match(shadows.get('gw-1', ''), { kind: 'error', status: 404, type: 'ResourceNotFoundException' });
  t.match(shadows.get('gw-2', 'policy'), { kind: 'error', status: 404 });
  t.end();
});

t.test('refuses what AWS refuses', (t) => {
  const shadows = store();
  t.match(shadows.update('gw-1', '', 'not json'), { status: 400, type: 'InvalidRequestException' });
  t.match(shadows.update('gw-1', '', '{"desired":{}}'), { status: 400 });
  const large = JSON.stringify({ state: { desired: { text: 'x'.repeat(8200) } } });
  t.match(shadows.update('gw-1', '', large), { status: 413, type: 'RequestEntityTooLargeException' });
  shadows.update('gw-1', '', '{"state":{"desired":{"a":1}}}');
  t.match(shadows.update('gw-1', '', '{"version":7,"state":{"desired":{"a":2}}}'), {
    status: 409,
    type: 'ConflictException',
  });
  t.match(shadows.update('gw-1', '', '{"version":1,"clientToken":"t","state":{"desired":{"a":2}}}'), {
    document: { version: 2, clientToken: 't' },
  });
  t.end();
});
