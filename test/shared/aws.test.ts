import t from 'tap';
import { z } from 'zod';
import { awsAccess, sdkCredentials, sdkFailure, trustedCa } from '../../shared/aws.ts';

const access = z.strictObject(awsAccess);

t.test('credentials become the names of the SDK, or are left to its default chain', (t) => {
  const keys = { access_key_id: 'a', secret_access_key: 'b' };
  t.same(sdkCredentials({ region: 'eu-west-1' }), {});
  t.same(sdkCredentials({ region: 'eu-west-1', credentials: keys }), {
    credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
  });
  t.same(sdkCredentials({ region: 'eu-west-1', credentials: { ...keys, session_token: 'c' } }), {
    credentials: { accessKeyId: 'a', secretAccessKey: 'b', sessionToken: 'c' },
  });
  t.end();
});

t.test('knows regions of every partition', (t) => {
  for (const region of ['eu-west-1', 'us-gov-west-1', 'cn-north-1', 'eusc-de-east-1', 'ap-southeast-3']) {
    t.ok(access.safeParse({ region }).success, region);
  }
  for (const region of ['', 'eu-west', 'eu-west-1a', 'Ireland', 'eu-west-1.amazonaws.com']) {
    t.notOk(access.safeParse({ region }).success, region);
  }
  t.end();
});

t.test('without a CA file the roots of Node stay', async (t) => {
  t.same(await trustedCa({ region: 'eu-west-1' }), {});
  await t.rejects(trustedCa({ region: 'eu-west-1', ca_file: '/nowhere/ca.pem' }), { code: 'ENOENT' });
});

t.test('an answer is told by its status and name only, a local error by its code or message', (t) => {
  const answered = Object.assign(new Error('quotes a secret'), {
    name: 'ThrottlingException',
    $metadata: { httpStatusCode: 429 },
    $response: { headers: { 'retry-after': '3' } },
  });
  t.same(sdkFailure(answered), {
    status: 429,
    code: null,
    name: 'ThrottlingException',
    text: 'HTTP 429 ThrottlingException',
    retryAfterMs: 3000,
  });
  const headers = { date: 'Sun, 06 Nov 1994 08:49:37 GMT', 'retry-after': 'Sun, 06 Nov 1994 08:49:41 GMT' };
  t.match(sdkFailure({ ...answered, $response: { headers } }), { retryAfterMs: 4000 });
  t.match(sdkFailure(Object.assign(new Error('read'), { code: 'ECONNRESET' })), { text: 'ECONNRESET' });
  t.match(sdkFailure(new RangeError('odd')), { status: null, text: 'RangeError: odd', retryAfterMs: null });
  t.match(sdkFailure(undefined), { status: null, code: null });
  t.end();
});
