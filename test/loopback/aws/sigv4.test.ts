import t from 'tap';
import {
  refuseSignature,
  type SignedRequest,
  type Signer,
  signatureOf,
} from '../../../loopback/aws/sigv4.ts';

/** Keys, time and expected signatures of AWS's published Signature Version 4 test suite. */
const signer: Signer = {
  keys: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' },
  region: 'us-east-1',
  service: 'service',
};
const TIME = '20150830T123600Z';
const NOW_MS = Date.UTC(2015, 7, 30, 12, 36, 0);
const HEADERS = { host: 'example.amazonaws.com', 'x-amz-date': TIME };
const SIGNED = ['host', 'x-amz-date'];

function request(target: string, body = ''): SignedRequest {
  return { method: 'GET', target, headers: HEADERS, body: Buffer.from(body) };
}

function authorised(signature: string, scope = '20150830/us-east-1/service', names = 'host;x-amz-date') {
  const authorization = `AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/${scope}/aws4_request, SignedHeaders=${names}, Signature=${signature}`;
  return { ...request('/'), headers: { ...HEADERS, authorization } };
}

t.test('agrees with the published test suite', (t) => {
  t.equal(
    signatureOf(request('/'), SIGNED, TIME, signer),
    '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31',
    'get-vanilla',
  );
  t.equal(
    signatureOf(request('/?Param2=value2&Param1=value1'), SIGNED, TIME, signer),
    'b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500',
    'get-vanilla-query-order-key-case',
  );
  t.end();
});

t.test('encodes a path once more than the wire, and tells requests apart', (t) => {
  const signatures = [
    request('/topics/a%2Fb'),
    request('/topics/a/b'),
    request('/topics/a%252Fb'),
    request('/topics/a%2Fb', 'body'),
    request('/topics/a%2Fb?qos=1'),
    request('/topics/a%2Fb?qos=2'),
    { ...request('/topics/a%2Fb'), method: 'POST' },
  ].map((one) => signatureOf(one, SIGNED, TIME, signer));
  t.equal(new Set(signatures).size, signatures.length);
  t.equal(
    signatureOf(request('/?a&b=2'), SIGNED, TIME, signer),
    signatureOf(request('/?b=2&a='), SIGNED, TIME, signer),
  );
  t.end();
});

t.test('takes a fresh signature, and refuses every other as AWS does', (t) => {
  const good = signatureOf(request('/'), SIGNED, TIME, signer);
  const refusal = (one: SignedRequest, nowMs = NOW_MS) => refuseSignature(one, signer, nowMs)?.type ?? 'none';

  t.equal(refusal(authorised(good)), 'none');
  t.equal(refusal(request('/')), 'MissingAuthenticationTokenException');
  t.equal(refusal(authorised(good.replace(/^./, 'f'))), 'InvalidSignatureException');
  t.equal(refusal({ ...authorised(good), method: 'POST' }), 'InvalidSignatureException');
  t.equal(refusal({ ...authorised(good), body: Buffer.from('other') }), 'InvalidSignatureException');
  t.equal(refusal(authorised(good, '20150830/eu-west-1/service')), 'InvalidSignatureException');
  t.equal(refusal(authorised(good, '20150830/us-east-1/iotdata')), 'InvalidSignatureException');
  t.equal(refusal(authorised(good, '20150829/us-east-1/service')), 'InvalidSignatureException');
  const hostless = signatureOf(request('/'), ['x-amz-date'], TIME, signer);
  t.equal(refusal(authorised(hostless, undefined, 'x-amz-date')), 'InvalidSignatureException');
  const stranger = { ...signer, keys: { ...signer.keys, accessKeyId: 'AKIDOTHER' } };
  t.equal(refuseSignature(authorised(good), stranger, NOW_MS)?.type, 'UnrecognizedClientException');
  t.end();
});

t.test('a signature lives for five minutes, either way', (t) => {
  const one = authorised(signatureOf(request('/'), SIGNED, TIME, signer));
  t.equal(refuseSignature(one, signer, NOW_MS + 300_000), null);
  t.equal(refuseSignature(one, signer, NOW_MS - 300_000), null);
  t.match(refuseSignature(one, signer, NOW_MS + 301_000), {
    type: 'InvalidSignatureException',
    message:
      'Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T124101Z - 5 min.)',
  });
  t.match(refuseSignature(one, signer, NOW_MS - 301_000), { message: /^Signature not yet current/ });
  t.end();
});
