import { generateKeyPairSync } from 'node:crypto';
import { decodeJwt } from 'jose';
import t from 'tap';
import { openGcpCredentials } from '../../shared/gcp/credentials.ts';
import { ManualClock } from '../manual-clock.ts';
import { until } from '../until.ts';

/** Its wall clock can be set. */
class SettableClock extends ManualClock {
  setMs = 0;

  override wallMs(): number {
    return super.wallMs() + this.setMs;
  }
}

t.test(
  'a token is kept while it is good, and signed anew when the clock was set meanwhile (I7)',
  async (t) => {
    const clock = new SettableClock(1_700_000_000_000);
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const account = { client_email: 'gw@p.iam.gserviceaccount.com', private_key: key };
    const { call } = await openGcpCredentials({ project: 'p', insecure: false, credentials: account }, clock);
    const token = async (): Promise<string> => {
      const metadata = await call?.generateMetadata({
        method_name: 'Publish',
        service_url: 'https://localhost/x',
      });
      return String(metadata?.get('authorization')[0]);
    };
    const first = await token();
    const claims = decodeJwt(first.slice('Bearer '.length));
    t.match(claims, {
      iss: account.client_email,
      sub: account.client_email,
      aud: 'https://pubsub.googleapis.com/',
    });
    t.equal((claims.exp ?? 0) - (claims.iat ?? 0), 3600);
    // A token's times are whole seconds: only after one does a new token differ.
    await until('a new second', () => Math.floor(Date.now() / 1000) > (claims.iat ?? 0));
    t.equal(await token(), first);
    clock.setMs = 2000;
    t.equal(await token(), first, 'a small correction is none');
    clock.setMs = -86_400_000;
    t.not(await token(), first);
  },
);
