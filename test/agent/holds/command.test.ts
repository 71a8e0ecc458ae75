/** `headgate hold` against a real agent, over its restarts. */
import { request } from 'node:http';
import t from 'tap';
import type { Explanation } from '../../../shared/admin-api/explanation.ts';
import { headgate } from '../../cli/run.ts';
import { gatewayWith, untilAnswer } from '../history/gateway.ts';

/** A PUT as a program on this machine sends it, and with headers as it would not. */
function put(admin: string, body: string, headers: Record<string, string> = {}): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const asked = request(`${admin}/v1/holds`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json', ...headers },
    });
    asked.on('error', reject);
    asked.on('response', (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    asked.end(body);
  });
}

t.test('hold add, rm and ls: routing obeys, reasons nest, SIGKILL changes nothing', async (t) => {
  const telemetry = { topics: ['#'], linger: '10ms', preferred_providers: ['a'] };
  const gateway = await gatewayWith(t, { policy: { streams: { telemetry }, failover: { dwell: '300ms' } } });
  const chosen = async (): Promise<string | undefined> => {
    const { streams } = await gateway.ask<Explanation>('/v1/explain');
    return streams[0]?.candidates.find((candidate) => candidate.chosen)?.provider;
  };
  const goes = (provider: string) => untilAnswer('it goes there', chosen, (now) => now === provider);
  t.equal(await goes('a'), 'a');

  const added = await headgate(['hold', 'add', 'a', '--reason', 'new modem', '--admin', gateway.admin]);
  t.match(added, {
    code: 0,
    stdout: /^PROVIDER +REASON +SINCE +CLOCK +LEFT\na +new modem +20.*synchronised +until it is ended\n$/,
  });
  t.equal(await goes('b'), 'b');
  t.equal(await put(gateway.admin, '{"provider":"a","reason":"audit","for":"2h"}'), 200);
  const explained = await gateway.cli('explain');
  t.match(explained.stdout, /refused: hold/);
  t.match(explained.stdout, /manual: new modem, manual: audit, 120 min left/);
  t.match((await gateway.cli('status')).stdout, /manual: new modem, manual: audit/);
  const metrics = await (await fetch(`${gateway.admin}/metrics`)).text();
  t.match(metrics, 'headgate_agent_provider_hold{provider="a",reason="manual"} 1');
  t.match(metrics, 'headgate_agent_manual_holds{provider="a"} 2');
  t.match(metrics, 'headgate_agent_manual_holds{provider="b"} 0');

  await gateway.agent.kill();
  await gateway.start();
  await gateway.publish('plant/temp', 1);
  t.equal(await goes('b'), 'b', 'after a kill too');
  const which = await gateway.cli('hold', 'rm', 'a');
  t.match(which, { code: 1, stderr: /a has 2 holds: "new modem", "audit"; say which, or all/ });
  t.match(await gateway.cli('hold', 'rm', 'a', '--reason', 'new modem'), { code: 0, stdout: /\na +audit / });
  t.equal(await chosen(), 'b', 'the other reason holds on');
  t.match(await gateway.cli('hold', 'rm', 'a'), { code: 0, stdout: 'no holds\n' });
  t.equal(await goes('a'), 'a');

  t.equal(await put(gateway.admin, '{"provider":"a","for":"4s"}'), 200);
  t.equal(await goes('b'), 'b');
  t.equal(await goes('a'), 'a', 'it ended by itself');
  t.match(await gateway.cli('hold', 'add', 'c'), { code: 1, stderr: /404: no provider "c"; there are a, b/ });
  t.match(await gateway.cli('hold', 'add', 'a', '--for', 'ever'), {
    code: 2,
    stderr: /--for: expected a duration/,
  });
  t.equal(await put(gateway.admin, '{"provider":"a","for":"ever"}'), 400);
  t.equal(await put(gateway.admin, 'no json'), 400);
  t.equal(await put(gateway.admin, '{"provider":"a"}', { origin: 'http://example.com' }), 403);
  t.equal(await put(gateway.admin, '{"provider":"a"}', { host: 'example.com' }), 403);
  t.match(await gateway.ask('/v1/holds'), { holds: [] });
});
