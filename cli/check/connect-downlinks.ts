/**
 * `config check --connect` of an agent's downlinks: each is asked once for a receipt, which stays for the
 * running agent. A downlink of type `azure` uses the connection of its provider, and is none of its own.
 */
import { readFile } from 'node:fs/promises';
import type { AgentConfig } from '../../agent/config/config.ts';
import type { AwsDownlinkConfig, HttpsDownlinkConfig } from '../../agent/downlink/options.ts';
import { RouterClient, statusText } from '../../agent/providers/https/router-client.ts';
import { pubSubConnectCheck } from '../../router/sources/pubsub/connect-check.ts';
import { sdkFailure, trustedCa } from '../../shared/aws.ts';
import { openShadows } from '../../shared/aws-shadow.ts';
import type { Clock } from '../../shared/clock.ts';
import {
  type CheckedPart,
  type ConnectCheck,
  type ConnectDeps,
  PHASE_MS,
  PhaseFailure,
} from '../../shared/connect-check/phases.ts';
import { type TlsMaterial, type WayOptions, wayPhases } from '../../shared/connect-check/way.ts';
import type { NetworkAccess } from '../../shared/network/options.ts';
import { receiptNote } from './receipt-proof.ts';

type Downlink = AgentConfig['downlinks'][number];
type Reader = Pick<AgentConfig, 'gateway' | 'receipts'>;

export function downlinkParts(
  config: Pick<AgentConfig, 'gateway' | 'downlinks' | 'receipts'>,
  { clock }: ConnectDeps,
): CheckedPart[] {
  return config.downlinks
    .filter(({ type }) => type !== 'azure')
    .map((downlink) => ({
      entry: `downlinks.${downlink.name}`,
      type: downlink.type,
      check: () => downlinkCheck(downlink, config, clock),
    }));
}

async function downlinkCheck(downlink: Downlink, reader: Reader, clock: Clock): Promise<ConnectCheck> {
  switch (downlink.type) {
    case 'https':
      return pollCheck(downlink, reader, clock);
    case 'aws':
      return shadowCheck(downlink, reader, clock);
    case 'gcp':
      return pubSubConnectCheck(downlink, clock);
    case 'azure':
      return { phases: [], close: () => Promise.resolve() };
  }
}

async function pollCheck(config: HttpsDownlinkConfig, reader: Reader, clock: Clock): Promise<ConnectCheck> {
  const { gateway } = reader;
  const way = urlWay(config.url, 'url', config, () => material(config), clock);
  const client = await RouterClient.open(config, clock);
  return {
    phases: [
      ...way.phases,
      {
        name: 'read',
        option: config.cert_file === undefined ? 'token_key_file' : 'cert_file',
        run: async (signal) => {
          const path = `v1/gateways/${gateway}/downlink?after=0&wait=0`;
          const attempt = { endsAtMs: clock.monoMs() + PHASE_MS, signal };
          const answer = await client.send({ method: 'GET', path, gateway }, attempt);
          if (answer.kind === 'failed') throw new Error(answer.text);
          if (answer.status === 200) return `the router has ${await receiptNote(reader, answer.body, clock)}`;
          if (answer.status === 204) return 'the router has no receipt yet';
          const fix = `the router must know the certificate or key of ${gateway}; check the clock`;
          throw new PhaseFailure(statusText(answer.status), { fix });
        },
      },
    ],
    close: async () => {
      way.close();
      client.close();
    },
  };
}

async function shadowCheck(config: AwsDownlinkConfig, reader: Reader, clock: Clock): Promise<ConnectCheck> {
  const { gateway } = reader;
  const way = urlWay(config.endpoint, 'endpoint', config, () => trustedCa(config), clock);
  const { client, sdk } = await openShadows(config, 1, clock);
  return {
    phases: [
      ...way.phases,
      {
        name: 'read',
        option: 'credentials',
        run: async (abortSignal) => {
          const command = new sdk.GetThingShadowCommand({ thingName: gateway, shadowName: config.shadow });
          try {
            await client.send(command, { abortSignal });
            return 'the shadow was read';
          } catch (error) {
            const { status, text } = sdkFailure(error);
            if (status === 404) return 'there is no shadow yet';
            if (status === null) throw error;
            const fix = `check keys and clock, and allow iot:GetThingShadow on the shadow ${config.shadow} of ${gateway}`;
            throw new PhaseFailure(text, { fix });
          }
        },
      },
    ],
    close: async () => {
      way.close();
      client.destroy();
    },
  };
}

function urlWay(
  url: string,
  option: string,
  network: NetworkAccess,
  read: () => Promise<TlsMaterial>,
  clock: Clock,
): ReturnType<typeof wayPhases> {
  const { hostname, port, protocol } = new URL(url);
  const isSecure = protocol === 'https:';
  const tls: WayOptions['tls'] = isSecure ? { option: 'ca_file', read } : null;
  const targets = [
    { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(port) || (isSecure ? 443 : 80) },
  ];
  return wayPhases({ targets, option, tls, network: { ...network, isSecure }, clock });
}

async function material(config: HttpsDownlinkConfig): Promise<TlsMaterial> {
  const read = async (file: string | undefined): Promise<string | undefined> =>
    file === undefined ? undefined : readFile(file, 'utf8');
  const [ca, cert, key] = await Promise.all([config.ca_file, config.cert_file, config.key_file].map(read));
  return { ca, cert, key };
}
