/** OCSP responses by openssl at both TLS listeners, seen by `openssl s_client -status`. */
import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { checkConfig } from '../../../cli/check-config.ts';
import { systemClock } from '../../../shared/clock.ts';
import { createLogger } from '../../../shared/log.ts';
import { judgeOcspResponse } from '../../../shared/ocsp/response.ts';
import { OcspStapling } from '../../../shared/ocsp/stapling.ts';
import { pemBlocks, TLS_FILES_POLL_MS } from '../../../shared/tls-files.ts';
import { startGated } from '../../agent/broker/access/devices-fixture.ts';
import { ManualClock } from '../../manual-clock.ts';
import { startApi } from '../../router/sources/https/support.ts';
import { asTimePasses, until } from '../../until.ts';
import { Authority } from './authority.ts';

const DAY_MS = 86_400_000;

function filesOf(authority: Authority) {
  const [certFile, keyFile] = [authority.file('server.crt'), authority.file('server.key')];
  return { certFile, keyFile, ocspFile: authority.file('server.ocsp') };
}

/** The handshake's word on the response. */
async function status(port: number, authority: Authority, version: string): Promise<string> {
  const arguments_ = ['s_client', '-connect', `127.0.0.1:${port}`, '-status', '-CAfile', 'ca.crt', version];
  const asking = promisify(execFile)('openssl', arguments_, { cwd: authority.dir });
  asking.child.stdin?.end();
  const { stdout } = await asking;
  if (stdout.includes('OCSP response: no response sent')) return 'none';
  return /Cert Status: (\w+)/.exec(stdout)?.[1] ?? stdout;
}

t.test('the broker staples to clients of TLS 1.2 and 1.3, and follows the file', async (t) => {
  const authority = new Authority(t);
  authority.answer('server.ocsp');
  const listener = {
    type: 'tls' as const,
    host: '127.0.0.1',
    port: 0,
    tls: { ...filesOf(authority), auth: 'password' as const, deviceName: 'cn' as const },
  };
  const { port, lines } = await startGated(t, { devices: [] }, { listeners: [listener] });
  t.equal(await status(port, authority, '-tls1_2'), 'good');
  t.equal(await status(port, authority, '-tls1_3'), 'good');
  authority.revoke('server');
  authority.answer('server.ocsp');
  await until('the alert', () => lines.some((line) => line.includes('broker.ocsp_refused')));
  t.match(lines.join(''), /"problem":"it says that the certificate is revoked"/);
  t.equal(await status(port, authority, '-tls1_3'), 'none');
});

t.test('the router staples, and follows the certificate', async (t) => {
  const authority = new Authority(t);
  authority.answer('server.ocsp');
  const { certFile, keyFile, ocspFile } = filesOf(authority);
  const options = { cert_file: certFile, key_file: keyFile, ocsp_file: ocspFile };
  const { source } = await startApi(t, { options });
  t.equal(await status(source.port(), authority, '-tls1_3'), 'good');
  authority.certificate('other', 'server');
  authority.run('cat other.key > server.key; cat other.crt > server.crt');
  await until('none', async () => (await status(source.port(), authority, '-tls1_3')) === 'none');
  authority.answer('server.ocsp', { about: 'other' });
  await until('the new one', async () => (await status(source.port(), authority, '-tls1_3')) === 'good');
});

t.test('a response that runs out is stapled no more, with one alert; a missing file too', async (t) => {
  const authority = new Authority(t);
  authority.answer('server.ocsp');
  const lines: string[] = [];
  const log = createLogger({ level: 'info', levels: {} }, { write: (line) => void lines.push(line) });
  const clock = new ManualClock(systemClock.wallMs());
  const server = new EventEmitter();
  const stapling = new OcspStapling(server, { files: filesOf(authority), component: 'test', clock, log });
  await stapling.start();
  t.teardown(() => stapling.stop());
  const stapled = (): unknown => {
    let given: unknown;
    server.emit('OCSPRequest', null, null, (_error: unknown, response: unknown) => {
      given = response;
    });
    return given;
  };
  const alerts = () => lines.filter((line) => line.includes('test.ocsp_refused'));
  t.same(stapled(), readFileSync(authority.file('server.ocsp')));
  clock.advance(DAY_MS + 1000);
  t.equal(stapled(), null, 'at once');
  await until('an alert', () => alerts().length === 1);
  t.match(alerts()[0], /"problem":"it ran out at 20/);
  rmSync(authority.file('server.ocsp'));
  clock.advance(TLS_FILES_POLL_MS);
  await until('another alert', () => alerts().length === 2);
  clock.advance(TLS_FILES_POLL_MS);
  clock.advance(TLS_FILES_POLL_MS);
  authority.answer('server.ocsp', { more: '-ndays 3' });
  await asTimePasses(clock, TLS_FILES_POLL_MS, 'the new one', () => stapled() !== null);
  t.equal(alerts().length, 2, 'each problem once');
});

/** The problem; null for one that is taken. */
function problemOf(authority: Authority, response: Uint8Array, certificates = 'server.crt'): string | null {
  const chain = pemBlocks(readFileSync(authority.file(certificates), 'utf8')).map(
    (pem) => new X509Certificate(pem),
  );
  const verdict = judgeOcspResponse(response, chain, systemClock.wallMs());
  return verdict.isGood ? null : verdict.problem;
}

t.test('which responses are taken', (t) => {
  const authority = new Authority(t);
  const namesake = new Authority(t);
  authority.certificate('other', 'server');
  authority.certificate('signer', 'ocsp');
  const made = (from: Authority, answering = {}): Buffer => {
    from.answer('r.ocsp', answering);
    return readFileSync(from.file('r.ocsp'));
  };
  const good = made(authority);
  t.equal(problemOf(authority, good), null);
  t.equal(problemOf(authority, made(authority, { more: '-ndays 1 -rmd sha512 -resp_key_id' })), null);
  t.equal(problemOf(authority, made(authority, { signer: 'signer' })), null, 'a responder of the authority');
  const unsigned = /^it is not signed by the issuer/;
  t.match(problemOf(authority, made(authority, { signer: 'other' })), unsigned, 'of a server');
  t.match(problemOf(authority, made(authority, { more: '-ndays 1 -badsig' })), unsigned);
  t.equal(problemOf(authority, made(authority, { about: 'other' })), 'it is about another certificate');
  t.equal(problemOf(authority, made(namesake)), 'it is about another certificate', 'same name and number');
  t.match(problemOf(authority, good, 'server.pem'), /^the issuer of the certificate is not known/);
  t.match(problemOf(authority, made(authority, { more: '' })), /^it has no end/);
  t.equal(problemOf(authority, Uint8Array.of(0x30, 3, 10, 1, 3)), 'the responder answered tryLater');
  const unreadable = 'it is not an OCSP response in DER';
  for (let length = 0; length < good.length; length += 1)
    t.equal(problemOf(authority, good.subarray(0, length)), unreadable, `cut after ${length}`);
  for (let at = 0; at < good.length; at += 1) {
    const changed = Buffer.from(good);
    changed[at] = (changed[at] ?? 0) ^ 0x01;
    // Any text is fine, but no throw.
    t.type(problemOf(authority, changed) ?? '', 'string');
  }
  t.end();
});

t.test('config check tells', (t) => {
  const authority = new Authority(t);
  authority.answer('server.ocsp');
  const { certFile, keyFile, ocspFile } = filesOf(authority);
  const tls = `cert_file: ${certFile}, key_file: ${keyFile}, ocsp_file: ${ocspFile}`;
  const texts = {
    agent: `gateway: gw-1
data_dir: ${authority.dir}/x
broker: { listeners: [{ type: tls, port: 8883, ${tls} }] }
providers:
  - { name: aws, type: aws, region: eu-west-1, endpoint: 'https://a-ats.iot.eu-west-1.amazonaws.com' }
`,
    router: `data_dir: ${authority.dir}/x
sources: [{ name: own, type: https, port: 8443, ${tls}, gateways_file: ${ocspFile} }]
`,
  };
  const said = (kind: keyof typeof texts, secrets = true): string[] => {
    const file = join(authority.dir, `${kind}.yaml`);
    writeFileSync(file, texts[kind]);
    return checkConfig(file, { kind: null, secrets }).problems.map(
      ({ path, message }) => `${path}: ${message}`,
    );
  };
  t.strictSame([...said('agent'), ...said('router')], []);
  authority.revoke('server');
  authority.answer('server.ocsp');
  const told = 'the response would not be stapled: it says that the certificate is revoked';
  t.strictSame(said('agent'), [`broker.listeners[0].ocsp_file: ${told}`]);
  t.strictSame(said('router'), [`sources[0].ocsp_file: ${told}`]);
  t.strictSame(said('agent', false), []);
  t.end();
});
