/** Application default credentials of a workload identity, from a loopback token endpoint. */
import t from 'tap';
import { TokenEndpoint } from '../../../loopback/gcp/token-endpoint.ts';
import { systemEntropy as entropy } from '../../../shared/entropy.ts';
import { openGcpCredentials } from '../../../shared/gcp/credentials.ts';
import { ForwardClock } from '../../forward-clock.ts';
import { testDir } from '../../test-dir.ts';
import { until } from '../../until.ts';

const LIFETIME_MS = 240_000;

t.test('a token needs its endpoint alone, and serves while that is silent', async (t) => {
  const clock = new ForwardClock();
  const tokens = new Map<string, number>();
  const endpoint = new TokenEndpoint({ tokens, lifetimeMs: LIFETIME_MS, clock, entropy });
  await endpoint.start();
  t.teardown(() => endpoint.stop());
  const variables = { METADATA_SERVER_DETECTION: 'none', ...(await endpoint.environment(testDir(t))) };
  for (const [name, value] of Object.entries(variables)) {
    process.env[name] = value;
    t.teardown(() => delete process.env[name]);
  }
  // The library would ask `gcloud` and the Cloud Resource Manager for a project, without a time limit.
  const { call } = await openGcpCredentials({ project: 'p', insecure: false }, clock);
  const token = async (): Promise<string> => {
    const metadata = await call?.generateMetadata({
      method_name: 'Publish',
      service_url: 'https://localhost/x',
    });
    return String(metadata?.get('authorization')[0]);
  };
  const first = await token();
  t.ok(tokens.has(first.replace('Bearer ', '')));
  endpoint.setSilent(true);
  clock.advance(LIFETIME_MS / 2);
  t.equal(await token(), first);
  await until('a new one is asked for', () => endpoint.requests === 2);
  t.equal(await token(), first);
  endpoint.setSilent(false);
  clock.advance(LIFETIME_MS / 2);
  await until('the new one', async () => (await token().catch(() => first)) !== first);
});
