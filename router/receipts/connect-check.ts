/**
 * `config check --connect` of the clouds that carry receipts. Each asks for the right to write with a request
 * that writes nothing.
 */
import { sdkFailure, trustedCa } from '../../shared/aws.ts';
import { openShadows, type ShadowConnection } from '../../shared/aws-shadow.ts';
import type { Clock } from '../../shared/clock.ts';
import { type ConnectCheck, type ConnectDeps, PhaseFailure } from '../../shared/connect-check/phases.ts';
import { wayPhases } from '../../shared/connect-check/way.ts';
import { openPubSub } from '../../shared/gcp/client.ts';
import { gcpFailure, pubSubWay } from '../../shared/gcp/connect-check.ts';
import type { ThroughConfig } from './options.ts';
import type { TopicOptions } from './pubsub.ts';
import type { ShadowOptions } from './shadow.ts';
import { openHub, type TwinOptions, twinPath } from './twin.ts';

const HTTPS_PORT = 443;
/** google.rpc.Code: an emulator has no IAM. */
const UNIMPLEMENTED = 12;

export async function carrierConnectCheck(config: ThroughConfig, deps: ConnectDeps): Promise<ConnectCheck> {
  switch (config.type) {
    case 'aws':
      return shadowConnectCheck(config, deps);
    case 'azure':
      return twinConnectCheck(config, deps);
    case 'gcp':
      return topicConnectCheck(config, deps.clock);
  }
}

function nowhere({ entropy }: ConnectDeps): string {
  return `headgate-check-${Buffer.from(entropy.bytes(8)).toString('hex')}`;
}

/** An update without a document is refused as invalid, after the login and the policy were checked. */
async function shadowConnectCheck(options: ShadowOptions, deps: ConnectDeps): Promise<ConnectCheck> {
  const { clock } = deps;
  const way = httpsWay(options.endpoint, 'endpoint', options, () => trustedCa(options), clock);
  const thing = nowhere(deps);
  const connection = await openShadows(options, 1, clock);
  return {
    phases: [
      ...way.phases,
      {
        name: 'login',
        option: 'credentials',
        run: async () => {
          await connection.client.config.credentials().catch((error: unknown) => {
            throw new Error(sdkFailure(error).text);
          });
          return null;
        },
      },
      {
        name: 'write',
        option: 'credentials',
        run: (signal) => askShadow(connection, options, thing, signal),
      },
    ],
    close: async () => {
      way.close();
      connection.client.destroy();
    },
  };
}

async function askShadow(
  { sdk, client }: ShadowConnection,
  { shadow: shadowName }: ShadowOptions,
  thingName: string,
  abortSignal: AbortSignal,
): Promise<string> {
  const command = new sdk.UpdateThingShadowCommand({ thingName, shadowName, payload: Buffer.from('{}') });
  try {
    await client.send(command, { abortSignal });
  } catch (error) {
    const { status, text } = sdkFailure(error);
    if (status === null) throw error;
    const fix = `check keys and clock, and allow iot:UpdateThingShadow on the shadow ${shadowName} of every gateway`;
    if (status === 401 || status === 403) throw new PhaseFailure(text, { fix });
    if (status !== 400 && status !== 404) throw new PhaseFailure(text, { option: 'endpoint' });
  }
  return 'an update without a document was refused as invalid; nothing was written';
}

/** The twin of a device that does not exist is not found, after the token was checked. */
async function twinConnectCheck(options: TwinOptions, deps: ConnectDeps): Promise<ConnectCheck> {
  const option = 'credentials.connection_string';
  const { hub, address, ca } = await openHub(options, deps.clock);
  const material = async () => (ca === null ? {} : { ca });
  const way = httpsWay(`https://${address}`, option, options, material, deps.clock);
  const path = twinPath(nowhere(deps));
  return {
    phases: [
      ...way.phases,
      {
        name: 'login',
        option,
        run: async (signal) => {
          const { status, said } = await hub.patch(path, '{"properties":{"desired":{}}}', signal);
          const text = `HTTP ${status}${said === '' ? '' : ` ${said}`}`;
          if (status === 401) {
            const fix = 'the policy needs ServiceConnect, and its present key; check the clock';
            throw new PhaseFailure(text, { fix });
          }
          if (status !== 404)
            throw new PhaseFailure(text, { fix: 'check that the hub has twins: not the basic tier' });
          return 'a twin that does not exist was not found; nothing was written';
        },
      },
    ],
    close: async () => {
      way.close();
      hub.close();
    },
  };
}

async function topicConnectCheck(options: TopicOptions, clock: Clock): Promise<ConnectCheck> {
  const way = pubSubWay(options, clock);
  const { client, close } = await openPubSub(options, clock);
  const topic = client.topic(options.topic);
  return {
    phases: [
      ...way.phases,
      {
        name: 'write',
        option: 'topic',
        run: async () => {
          const permission = 'pubsub.topics.publish';
          try {
            const [held] = await topic.iam.testPermissions([permission], { timeout: 9000, retry: null });
            if (held?.[permission] === true) return `${permission} is held; nothing was published`;
          } catch (error) {
            if (Reflect.get(Object(error), 'code') === UNIMPLEMENTED)
              return 'an emulator has no permissions to ask for; nothing was published';
            throw gcpFailure(error, 'topic');
          }
          const fix = 'give the account roles/pubsub.publisher on the topic';
          throw new PhaseFailure(`${permission} is not held`, { option: 'credentials', fix });
        },
      },
    ],
    close: async () => {
      way.close();
      await close();
    },
  };
}

function httpsWay(
  url: string,
  option: string,
  network: TwinOptions | ShadowOptions,
  read: () => Promise<{ ca?: string }>,
  clock: Clock,
): ReturnType<typeof wayPhases> {
  const { hostname, port, protocol } = new URL(url);
  const isSecure = protocol === 'https:';
  return wayPhases({
    targets: [{ host: hostname, port: Number(port) || (isSecure ? HTTPS_PORT : 80) }],
    option,
    tls: isSecure ? { option: 'ca_file', read } : null,
    network: { ...network, isSecure },
    clock,
  });
}
