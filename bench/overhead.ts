/**
 * The cost from a committed row to a cloud's acknowledgement, compared with a loop that passes the same
 * envelopes to the vendor's SDK. Each side is its own process, the cloud a third; they take turns. CPU is
 * that of the process, including its threads.
 */
import { writeFileSync } from 'node:fs';
import { type CloudName, type Clouds, startClouds } from './load/clouds.ts';
import type { ForwardArgument, Forwarded, ForwardRequest } from './load/forward-path.ts';
import { Peer, type Spent } from './load/peer.ts';
import { Workshop } from './load/programs.ts';
import type { RawArgument, RawRequest } from './load/raw-sdk.ts';
import { type Bench, type Measured, median, type Options, rounded } from './measure.ts';

const CLOUDS: readonly CloudName[] = ['aws', 'azure', 'gcp'];
const LANES = ['live', 'backlog'] as const;
/** Live records must leave within five seconds, before they count as backlog. */
const RECORDS = { live: 60_000, backlog: 200_000 };
const WARM_UP_ROUNDS = 2;
const ROUNDS = 7;

interface Round {
  records: number;
  forwarded: Forwarded;
  /** The SDK with prepared bytes. */
  sent: Spent;
  /** The SDK in a loop that first encodes records from memory into the same bytes. */
  encoded: Spent;
}

type Lane = (typeof LANES)[number];

export const bench: Bench = {
  name: 'overhead',
  summary: `CPU and time from a committed row to a cloud's ack, against the vendors' SDKs alone`,
  options: { cloud: { takes: CLOUDS.join('|'), is: 'one of them alone (default: all)' } },
  async run({ cloud: only }: Options): Promise<Measured> {
    const wanted = CLOUDS.filter((cloud) => only === undefined || cloud === only);
    if (wanted.length === 0) throw new Error(`--cloud is one of ${CLOUDS.join(', ')}`);
    const shop = new Workshop();
    try {
      const clouds = await startClouds(shop);
      const rows: Array<Record<string, string | number>> = [];
      const figures: Record<string, number> = {};
      for (const cloud of wanted) {
        const rounds = await measured(shop, clouds, cloud);
        for (const lane of LANES) {
          const { row, ratios } = summary(rounds[lane]);
          rows.push({ cloud, lane, ...row });
          const prefix = lane === 'live' ? cloud : `${cloud}_backlog`;
          for (const [name, ratio] of Object.entries(ratios)) figures[`${prefix}_${name}`] = ratio;
        }
      }
      return { rows, figures };
    } finally {
      await shop.close();
    }
  },
};

async function measured(shop: Workshop, clouds: Clouds, cloud: CloudName): Promise<Record<Lane, Round[]>> {
  const config = `${shop.folder}/${cloud}.yaml`;
  const document = { gateway: 'gw-1', data_dir: shop.folder, providers: [clouds.provider(cloud)] };
  writeFileSync(config, JSON.stringify(document));
  const forwardArgument: ForwardArgument = { config, folder: shop.folder };
  const rawArgument: RawArgument = { config };
  const forward = new Peer<ForwardRequest, Forwarded>('forward-path.ts', forwardArgument);
  const sdk = new Peer<RawRequest, Spent>('raw-sdk.ts', rawArgument);
  const rounds: Record<Lane, Round[]> = { live: [], backlog: [] };
  try {
    for (let round = 0; round < WARM_UP_ROUNDS + ROUNDS; round++) {
      for (const lane of LANES) {
        const result = await turn(forward, sdk, lane, `${shop.folder}/${cloud}.envelopes`);
        if (round >= WARM_UP_ROUNDS) rounds[lane].push(result);
        console.error(`${cloud} ${lane} ${round}: ${JSON.stringify(result)}`);
      }
    }
  } finally {
    await Promise.all([forward.end(), sdk.end()]);
  }
  return rounds;
}

async function turn(
  forward: Peer<ForwardRequest, Forwarded>,
  sdk: Peer<RawRequest, Spent>,
  lane: Lane,
  envelopesFile: string,
): Promise<Round> {
  const records = RECORDS[lane];
  const forwarded = await forward.ask({ records, lane, envelopesFile });
  const { inFlight } = forwarded;
  const sent = await sdk.ask({ envelopesFile, inFlight, encode: false });
  const encoded = await sdk.ask({ envelopesFile, inFlight, encode: true });
  return { records, forwarded, sent, encoded };
}

function summary(rounds: readonly Round[]) {
  const of = (pick: (round: Round) => number): number => rounded(median(rounds.map(pick)));
  const ratios = {
    cpu_ratio: of(({ forwarded, sent }) => forwarded.cpuMs / sent.cpuMs),
    wall_ratio: of(({ forwarded, sent }) => forwarded.wallMs / sent.wallMs),
    cpu_ratio_encoding: of(({ forwarded, encoded }) => forwarded.cpuMs / encoded.cpuMs),
    wall_ratio_encoding: of(({ forwarded, encoded }) => forwarded.wallMs / encoded.wallMs),
  };
  const row = {
    'records/envelope': of(({ records, forwarded }) => records / forwarded.envelopes),
    'under way': of(({ forwarded }) => forwarded.inFlight),
    'CPU µs/record': of(({ records, forwarded }) => (forwarded.cpuMs * 1000) / records),
    'SDK sends': of(({ records, sent }) => (sent.cpuMs * 1000) / records),
    'and encodes': of(({ records, encoded }) => (encoded.cpuMs * 1000) / records),
    'CPU ratio': ratios.cpu_ratio,
    'time µs/record': of(({ records, forwarded }) => (forwarded.wallMs * 1000) / records),
    'SDK sends ': of(({ records, sent }) => (sent.wallMs * 1000) / records),
    'and encodes ': of(({ records, encoded }) => (encoded.wallMs * 1000) / records),
    'time ratio': ratios.wall_ratio,
  };
  return { row, ratios };
}
