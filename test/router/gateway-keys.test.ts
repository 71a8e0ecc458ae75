import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readGatewayKeys } from '../../router/gateways/gateway-keys.ts';
import { errorText } from '../../shared/log.ts';
import { testDir } from '../test-dir.ts';

const { privateKey } = generateKeyPairSync('ed25519');
const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const [, secret = ''] = pem.split('\n');

t.test('a private key in gateways_file by mistake is in no error, wherever it stands', async (t) => {
  const file = join(testDir(t, {}), 'gateways.yaml');
  const texts = {
    bare: pem,
    'in the place of YAML': `gateways:\n  gw-1:\n ${secret}: [\n`,
    'as a name': `gateways: { "${secret}": { public_keys: 7 } }`,
    'as an invalid name': `gateways: { "-${secret}+": { public_keys: [] } }`,
    'as an unknown key': `gateways: { gw-1: { public_keys: [a], "${secret}": 1 } }`,
    'as a section': `"${secret}": 1`,
    'as an alias': `gateways: *${secret}`,
    'as a tag': `gateways: !${secret} 1`,
  };
  for (const [where, text] of Object.entries(texts)) {
    writeFileSync(file, text);
    const told = await readGatewayKeys(file).then(() => '', errorText);
    t.not(told, '', where);
    t.notMatch(told, secret, where);
  }
});
