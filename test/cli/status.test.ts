import { createServer } from 'node:http';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import t, { type Test } from 'tap';
import { AdminServer } from '../../shared/admin-server.ts';
import { systemClock } from '../../shared/clock.ts';
import { systemEntropy } from '../../shared/entropy.ts';
import { createLogger } from '../../shared/log.ts';
import { command, folderWith, headgate } from './run.ts';
import { AGENT, COSTS, EXPLANATION, ROUTER } from './status-answers.ts';

/** A real admin server with made-up answers; returns its address. */
async function serving(t: Test, kind: 'agent' | 'router', token?: string): Promise<string> {
  const server = new AdminServer({
    host: '127.0.0.1',
    token,
    clock: systemClock,
    entropy: systemEntropy,
    port: 0,
    checks: {},
    registry: new Registry(),
    log: createLogger({ level: 'silent', levels: {} }),
    routes: {
      '/v1/status': () => ({ status: 200, body: kind === 'agent' ? AGENT : ROUTER }),
      '/v1/explain': ({ stream }) =>
        stream === 'nope'
          ? { status: 404, body: { error: 'no stream "nope"' } }
          : { status: 200, body: EXPLANATION },
      '/v1/costs': () => ({ status: 200, body: COSTS }),
    },
  });
  await server.start();
  t.teardown(() => server.stop());
  return `http://127.0.0.1:${server.port()}`;
}

/** Runs of blanks are layout. */
function squeezed(text: string): string {
  return text.replaceAll(/ +/g, ' ');
}

t.test('a server with a login', async (t) => {
  const token = 'correct-horse-battery';
  const admin = await serving(t, 'agent', token);
  const file = join(folderWith(t, { token: `${token}\n` }), 'token');
  const asked = (env: Record<string, string>) => command(['status', '--admin', admin], { env });
  t.match(await asked({ HEADGATE_ADMIN_TOKEN: token }), { code: 0, stderr: '' });
  t.match(await asked({ HEADGATE_ADMIN_TOKEN_FILE: file }), { code: 0, stderr: '' });
  t.match(await asked({}), {
    code: 1,
    stderr: /answered 401: .*admin\.token; HEADGATE_ADMIN_TOKEN_FILE names/,
  });
  t.match(await asked({ HEADGATE_ADMIN_TOKEN_FILE: `${file}s` }), {
    code: 2,
    stderr: /cannot be read \(ENOENT\)/,
  });
  const odd = await asked({ HEADGATE_ADMIN_TOKEN: 'correct\nhorse' });
  t.match(odd, { code: 2, stderr: /^.*expected visible ASCII/ });
  t.notMatch(odd.stderr, /horse/);
});

t.test('status of an agent', async (t) => {
  const admin = await serving(t, 'agent');
  const { code, stdout, stderr } = await headgate(['status', '--admin', admin]);
  t.match({ code, stderr }, { code: 0, stderr: '' });
  const text = squeezed(stdout);
  t.match(text, /^agent gw-1 headgate 1\.2\.3 epoch 7-ab12 up 1h 2m clock unsynchronised$/m);
  t.match(text, /^policy version 7, in force since 2026-11-30T08:00:00Z; left, and draining: pumps$/m);
  t.match(
    text,
    /^policy refused at 2026-11-30T09:00:00Z: policy\.yaml: 1 mistake \(the log has all of it\)$/m,
  );
  t.match(text, /^aws dns 4\.0s getaddrinfo ENOTFOUND/m);
  t.match(text, /^broker 20 connections, 1\.2M published, 12 refused, device file ok$/m);
  t.match(
    text,
    /^refused 10 record-too-large, 2 protocol-version, 6 records of alarms with fewer copies than asked for$/m,
  );
  t.match(
    text,
    /^buffer ok: 1\.5k records, 293\.0 KiB; 512\.0 KiB of 2\.0 MiB \(25\.0%\) used \(file 1\.0 MiB, WAL 4\.0 KiB\)$/m,
  );
  t.match(
    text,
    /^given up 3\.2k records since the start 1h 2m ago, 40 before it that were not yet reported$/m,
  );
  t.match(text, /^alarms quota 3\.2k 0 1m 1s ago$/m);
  t.match(text, /^energy age 0 40 before the start$/m);
  t.match(text, /^alarms azure, gcp 1\.5k 12 7 9\.0k 250\.4 6\.0s 1m 30s$/m);
  t.match(text, /^energy nobody 3 0 0 0 0\.0 – 400ms$/m);
  t.match(
    text,
    /^aws aws eu-west-1 open 4\.2s 0\.612 1\.00 0\.90 1\.00 1\.00 – – – 10 4 10 manual, quota next_credentials accepted 2027-01-02T03:04:05\.000Z$/m,
  );
  t.match(
    text,
    /^2026-11-20T10:00:00\.000Z alarms aws azure breaker \[2J$/m,
    'control characters do not get through',
  );
  const asJson = await command(['status', '--admin', admin, '--json']);
  t.strictSame(JSON.parse(asJson.stdout), AGENT);
});

t.test('status of a router', async (t) => {
  const admin = await serving(t, 'router');
  const { code, stdout } = await command(['status', '--router', '--admin', admin]);
  t.equal(code, 0);
  const text = squeezed(stdout);
  t.match(text, /^ledger 120 records, 7 duplicates reconciled, 1 conflicts, 2 dead letters$/m);
  t.match(
    text,
    /^aws aws down 10 9 3 \(redelivery\), 4 \(other-source\) 1m 15s – 12\.3k 1970-01-01T00:00:00\.000Z ECONNREFUSED$/m,
  );
  t.match(text, /^HOLDS MOST OF 4\.0 KiB BYTES SHARE$/m);
  t.match(text, /^gw-2 3\.0 KiB 75 %$/m);
  t.match(text, /^streams 1, 1 incomplete: 10 records missing; 5 given up$/m);
  t.match(text, /^file retrying 118 2 1m 15s 0 3 ENOSPC$/m);
  t.match(text, /^hook retrying, held up 90 30 1m 0s 0 9 HTTP 422$/m);
  t.match(text, /^hook gw-1\/7-ab12\/alarms\/91 91 HTTP 422: no such field$/m, 'the record that holds it up');
  t.match(text, /^gw-0 none none 1970-01-01T00:00:00\.000Z – – – – – – –$/m, 'heard of, nothing held');
  t.match(
    text,
    /^gw-1 7-ab12 alarms never 90 130 10 \(91–99, 120\) 5 \(quota\) 7 1 3 \(retention\), 1 \(quarantine\)$/m,
  );
});

t.test('explain shows every part with its inputs, and why a provider is refused', async (t) => {
  const admin = await serving(t, 'agent');
  const { code, stdout } = await command(['explain', 'energy', '--admin', admin]);
  t.equal(code, 0);
  const text = squeezed(stdout);
  t.match(text, /^stream energy: the first choice$/m);
  t.match(
    text,
    /^PROVIDER VERDICT SHARE SCORE STANDING COST ×0\.30 PERFORMANCE ×0\.25 COMPLIANCE ×0\.25 RELIABILITY ×0\.20$/m,
  );
  t.match(text, /^aws chosen 90\.0% 0\.950 0\.475 1\.000 0\.900 1\.000 0\.999$/m);
  t.match(text, /^gcp refused: residency, hold 0\.0% 0\.990 0\.950 /m);
  t.match(text, /^PROVIDER HEALTH TRIAL HOLDS PREFERRED MOVES IN HEDGED AFTER$/m);
  t.match(text, /^aws degraded: latency 11 of 12 accepted, 40 tries needed none – now 120ms$/m);
  t.match(
    text,
    /^gcp healthy: start \(tls: the TLS handshake did not end within 3000 ms\) none quota, manual 1 9\.0s –$/m,
  );
  t.match(text, /^PROVIDER USD PER ENVELOPE P50 P95 SAMPLES EXPECTED GOODPUT ACCEPTED SLA CERTIFICATIONS$/m);
  t.match(text, /^aws 0\.00000130 20ms 380ms 41 60ms 98\.0% 40 of 44 99\.90% 1 of 2$/m);
  t.match(text, /^gcp 0\.00000130 – – 0 60ms 98\.0% 0 of 0 99\.90% 1 of 2$/m);
  t.match(text, /^2026-11-20T10:00:00\.000Z gcp aws hold$/m);
  const unknown = await command(['explain', '--stream', 'nope', '--admin', admin]);
  t.match(unknown, { code: 1, stdout: '', stderr: 'headgate: the agent answered 404: no stream "nope"\n' });
  const never = await command(['explain', '--at', 'never', '--admin', admin]);
  t.match(never, { code: 2, stderr: /^headgate: "never": expected a time such as/ });
});

t.test('costs shows what was metered and what it cost', async (t) => {
  const admin = await serving(t, 'agent');
  const { code, stdout } = await command(['costs', '--admin', admin]);
  t.equal(code, 0);
  const text = squeezed(stdout);
  t.match(text, /^USD, UTC day 2026-11-20, month counted since 2026-11-20T10:00:00\.000Z$/m);
  t.match(text, /^the clock is not synchronised: counts go to the last known day$/m);
  t.match(text, /^aws 5 KB message 0 – 0\.0000 2\.0k 40\.0k 0\.0035 0\.00010 0\.0000 – 0\.0875 none$/m);
  t.match(
    text,
    /^hub 4 KB message 396\.0k 99\.0% 0\.0000 396\.0k 0 0\.0000 0\.0000 25\.0000 25\.0000 – quota$/m,
  );
  t.match(text, /^energy 0 0\.0000 40\.0k 0\.0035 0\.00010 0\.0200 0\.0875$/m);
  t.match(text, /^today 0\.0000, month 0\.0035 metered and 25\.0000 fixed, forecast 25\.0200, 0\.0875 per/m);
  t.match(text, /^budget 50\.00: 50\.0% spent, forecast 50\.0%; within, at its end: hold$/m);
});

t.test('no line is wider than the terminal, and nothing is left out', async (t) => {
  const agent = await serving(t, 'agent');
  const router = await serving(t, 'router');
  const words = (text: string): Set<string> => new Set(text.split(/\s+/).filter((word) => word.length < 20));
  for (const args of [['status'], ['explain', 'energy'], ['costs'], ['status', '--router']]) {
    const admin = args.includes('--router') ? router : agent;
    const whole = await command([...args, '--admin', admin]);
    for (const columns of [80, 60]) {
      const { stdout } = await command([...args, '--admin', admin], { env: { COLUMNS: String(columns) } });
      const wide = stdout.split('\n').filter((line) => line.length > columns);
      t.strictSame(wide, [], `${args.join(' ')} in ${columns} columns`);
      const lost = words(whole.stdout).difference(words(stdout));
      t.strictSame([...lost], [], `${args.join(' ')}: every word is there`);
    }
  }
});

t.test('an answer that is not ours ends with 69', async (t) => {
  const server = createServer((_request, response) => response.end('<html>'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const address = server.address();
  const admin = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
  const html = await command(['status', '--admin', admin]);
  t.match(html, {
    code: 69,
    stdout: '',
    stderr: /^headgate: what answers at .* is not the agent of headgate\n$/,
  });
  const router = await serving(t, 'router');
  t.match(
    await command(['costs', '--admin', `${router}/v1`]),
    { code: 0 },
    'the path of --admin does not count',
  );
});
