/** The two slots of a provider of type `https`. */
import { copyFileSync } from 'node:fs';
import t from 'tap';
import { encodeEnvelope } from '../../../../shared/envelope/codec.ts';
import { attempt } from '../../../attempt.ts';
import { envelope as envelopeOf } from '../../../router/ledger/envelopes.ts';
import { p256, startApi, writeKey } from '../../../router/sources/https/support.ts';
import { envelope, open } from './support.ts';

const message = { ...envelope(), bytes: encodeEnvelope(envelopeOf({ seqs: [1] })) };

t.test('a key that is refused gives way to the next credentials with the same publish', async (t) => {
  const api = await startApi(t);
  const token_key_file = writeKey(api.directory, 'unregistered', p256().privateKey);
  const entry = { name: 'private', type: 'https', url: api.url, ca_file: api.caFile };
  const next_credentials = await api.certificate('gw-1');
  const opened = open(t, { ...entry, token_key_file, next_credentials });
  t.same(await opened.publisher.publish(message, attempt(3000)), { kind: 'accepted' });
  t.match(opened.publisher.credentials(), { inUse: 'next_credentials', standing: 'accepted' });
});

t.test('a key file that is replaced in place is taken up', async (t) => {
  const api = await startApi(t);
  const token_key_file = writeKey(api.directory, 'changing', p256().privateKey);
  const opened = open(t, {
    name: 'private',
    type: 'https',
    url: api.url,
    ca_file: api.caFile,
    token_key_file,
  });
  const refused = { kind: 'rejected', cause: 'unauthorized' };
  t.match(await opened.publisher.publish(message, attempt(3000)), refused);
  copyFileSync(api.keyFile('gw-1'), token_key_file);
  t.same(await opened.publisher.publish(message, attempt(3000)), { kind: 'accepted' });
});
