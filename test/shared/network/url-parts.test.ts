import t from 'tap';
import { z } from 'zod';
import { awsOptions } from '../../../agent/providers/aws/options.ts';
import { postgresOptions } from '../../../router/ledger/postgres/options.ts';
import { mqttAccess } from '../../../shared/mqtt.ts';
import { isProxyUrl } from '../../../shared/network/options.ts';
import { areUrlPartsEncoded } from '../../../shared/network/url-parts.ts';

t.test('user, password and host of a URL can be decoded, or the option is refused', (t) => {
  const mqttUrl = z.object({ url: mqttAccess.url });
  const postgresUrl = postgresOptions.pick({ url: true });
  for (const parts of ['u:p', 'u:p%40%25', '', '%C3%BC:x'])
    t.ok(areUrlPartsEncoded(`mqtts://${parts}@h`), parts);
  for (const parts of ['u:%zz', '%:p', '%C3:p', 'u:100%']) {
    t.match(
      mqttUrl.safeParse({ url: `mqtts://${parts}@h` }).error?.issues,
      [{ message: /write a "%".*as %25/ }],
      parts,
    );
    t.match(
      postgresUrl.safeParse({ url: `postgres://${parts}@h/db` }).error?.issues,
      [{ message: /write a "%"/ }],
      parts,
    );
    t.notOk(isProxyUrl(`http://${parts}@h:3128`), parts);
  }
  t.match(postgresUrl.safeParse({ url: 'postgres://u@%zz/db' }).error?.issues, [{ message: /write a "%"/ }]);
  t.end();
});

t.test('what is no URL is refused in one sentence', (t) => {
  const shape = z.object({ endpoint: awsOptions.shape.endpoint });
  for (const endpoint of ['', 'iot.example', 'https://', 'https://h:99999'])
    t.match(shape.safeParse({ endpoint }).error?.issues, { length: 1 }, endpoint);
  t.end();
});
