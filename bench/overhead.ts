/**
 * What stands between a committed row and a cloud's acknowledgement, against a loop that gives the same envelopes to the vendor's SDK.
 * Each side is a process of its own, the cloud a third; they take turns. CPU is the process's, its threads included.
 */
import { writeFileSync } from 'node:fs';
import { type CloudName, type Clouds, startClouds } from './load/clouds.ts';
import type { ForwardArgument, Forwarded, ForwardRequest } from './load/forward-path.ts';
import { Peer, type Spent } from './load/peer.ts';
import { Workshop } from './load/programs.ts';
import type { RawArgument, RawRequest } from './load/raw-sdk.ts';
import { type Bench, type Measured, median, rounded } from './measure.ts';

const CLOUDS: readonly CloudName[] = ['aws', 'azure', 'gcp'];
const RECORDS = 200_000;
const WARM_UP_ROUNDS = 3;
const ROUNDS = 7;

interface Round {
  forwarded: Forwarded;
  raw: Spent;
}

export const bench: Bench = {
  name: 'overhead',
  summary: `CPU and time from a committed row to a cloud's ack, ${RECORDS} records, against the vendors' SDKs alone`,
  async run(): Promise<Measured> {
    const shop = new Workshop();
    try {
      const clouds = await startClouds(shop);
      const rounds = new Map<CloudName, Round[]>();
      for (const cloud of CLOUDS) rounds.set(cloud, await measured(shop, clouds, cloud));
      return report(rounds);
    } finally {
      await shop.close();
    }
  },
};

async function measured(shop: Workshop, clouds: Clouds, cloud: CloudName): Promise<Round[]> {
  const config = `${shop.folder}/${cloud}.yaml`;
  const document = { gateway: 'gw-1', data_dir: shop.folder, providers: [clouds.provider(cloud)] };
  writeFileSync(config, JSON.stringify(document));
  const forwardArgument: ForwardArgument = { config, folder: shop.folder };
  const rawArgument: RawArgument = { config };
  const forward = new Peer<ForwardRequest, Forwarded>('forward-path.ts', forwardArgument);
  const sdk = new Peer<RawRequest, Spent>('raw-sdk.ts', rawArgument);
  const envelopesFile = `${shop.folder}/${cloud}.envelopes`;
  const rounds: Round[] = [];
  try {
    for (let round = 0; round < WARM_UP_ROUNDS + ROUNDS; round++) {
      const forwarded = await forward.ask({ records: RECORDS, envelopesFile });
      const raw = await sdk.ask({ envelopesFile, inFlight: forwarded.inFlight });
      if (round >= WARM_UP_ROUNDS) rounds.push({ forwarded, raw });
      console.error(
        `${cloud} ${round}: ${forwarded.envelopes} envelopes, ${forwarded.inFlight} under way; ` +
          `CPU ${rounded(forwarded.cpuMs)} against ${rounded(raw.cpuMs)} ms, time ${rounded(forwarded.wallMs)} against ${rounded(raw.wallMs)} ms`,
      );
    }
  } finally {
    await Promise.all([forward.end(), sdk.end()]);
  }
  return rounds;
}

function report(byCloud: ReadonlyMap<CloudName, Round[]>): Measured {
  const rows: Array<Record<string, string | number>> = [];
  const figures: Record<string, number> = {};
  for (const [cloud, rounds] of byCloud) {
    const of = (pick: (round: Round) => number): number => rounded(median(rounds.map(pick)));
    const cpu = of(({ forwarded, raw }) => forwarded.cpuMs / raw.cpuMs);
    const wall = of(({ forwarded, raw }) => forwarded.wallMs / raw.wallMs);
    rows.push({
      cloud,
      envelopes: of(({ forwarded }) => forwarded.envelopes),
      'CPU µs/record': of(({ forwarded }) => (forwarded.cpuMs * 1000) / RECORDS),
      'SDK alone': of(({ raw }) => (raw.cpuMs * 1000) / RECORDS),
      'CPU ratio': cpu,
      'time µs/record': of(({ forwarded }) => (forwarded.wallMs * 1000) / RECORDS),
      'SDK alone ': of(({ raw }) => (raw.wallMs * 1000) / RECORDS),
      'time ratio': wall,
    });
    Object.assign(figures, { [`${cloud}_cpu_ratio`]: cpu, [`${cloud}_wall_ratio`]: wall });
  }
  return { rows, figures };
}
