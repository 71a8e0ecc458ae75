/** Small envelopes that want much, from a gateway whose key the router knows: its signature is right. */
import { type Attack, count, group } from '../attack.ts';
import { bombs, dearest, unpackable } from '../bytes/bomb.ts';
import { signed } from '../bytes/envelope.ts';
import { openPlant } from '../world/open-plant.ts';
import type { Plant } from '../world/plant.ts';
import { latencies, ratio } from '../world/ratio.ts';

const AT_ONCE = 8;
const TIMES = { short: 24, long: 80 };
const GROWTH_MIB_MAX = 192;
const GOOD_POSTS = 30;
/** A lane of bombs rests between two while others are about. */
const RATIO_MAX = 2;
/** The ledger is free for others three fifths of the time, whatever one gateway sends. */
const COMMITS_RATIO_MAX = 3;
const TAKEN = 200;

let goodSeq = 0;

/** The gateway that works on posts an envelope of one record; resolves when it is in the ledger. */
export async function goodPost({ senders, keys }: Plant): Promise<void> {
  goodSeq += 1;
  const bytes = signed({ gateway: 'good', epoch: '1-0000000a', seqs: [goodSeq] }, keys.good);
  const { status, text } = await senders.good.post(bytes);
  if (status !== TAKEN) throw new Error(`a good envelope was answered with ${status} ${text}`);
}

const MADE = { gateway: 'gw-2', seqs: [1] };

const single = Object.keys(bombs()).map(
  (name): Attack<Plant> => ({
    name: `bomb/${name}`,
    by: ['gateway'],
    async run({ router, senders, keys }, { isShort }) {
      const bomb = bombs()[name];
      if (!bomb) throw new Error(`no bomb ${name}`);
      const bytes = signed(MADE, keys['gw-2'], bomb.content, bomb.isCompressed ? 1 : 0);
      const before = router.forgetPeak();
      const times = isShort ? TIMES.short : TIMES.long;
      for (let i = 0; i < times; i += AT_ONCE) {
        const answers = await Promise.all(Array.from({ length: AT_ONCE }, () => senders['gw-2'].post(bytes)));
        const taken = answers.filter(({ status }) => status === TAKEN);
        if (taken.length > 0) throw new Error(`${taken.length} were taken as envelopes`);
      }
      const unit = `MiB more memory for ${bytes.length} bytes, ${AT_ONCE} at once`;
      return count(router.peak() - before, unit, GROWTH_MIB_MAX);
    },
  }),
);

/** Envelopes to keep eight of in hand, by number. */
type Made = (number: number) => Buffer;

function beside(name: string, bound: number, what: string, make: (plant: Plant) => Made): Attack<Plant> {
  return {
    name,
    by: ['gateway'],
    async run(plant) {
      const made = make(plant);
      let number = 0;
      const figure = await ratio(
        () => latencies(GOOD_POSTS, () => goodPost(plant)),
        async (signal, begun) => {
          const one = async (): Promise<void> => {
            while (!signal.aborted) {
              number += 1;
              await plant.senders['gw-2'].post(made(number));
              begun();
            }
          };
          await Promise.all(Array.from({ length: AT_ONCE }, one));
        },
      );
      return { figure, bound, unit: `times another gateway’s median, ${AT_ONCE} ${what} in hand` };
    },
  };
}

/** 2 KB that unpack to 4 MiB, the most that any frame may, and are refused within. */
const refused = beside('bomb/others-wait', RATIO_MAX, 'bombs of 130 bytes for 4 MiB', ({ keys }) => {
  const bytes = signed(MADE, keys['gw-2'], unpackable(), 1);
  return () => bytes;
});

/** These are envelopes: each asks for a commit of 10,000 records. */
const committed = beside(
  'bomb/others-wait-for-commits',
  COMMITS_RATIO_MAX,
  'envelopes of 10,000 records',
  ({ keys }) =>
    (number) => {
      const made = { gateway: 'gw-2', epoch: `${number}-0000000b` };
      const { content, last } = dearest(made.gateway, made.epoch);
      return signed({ ...made, seqs: [1, last] }, keys['gw-2'], content, 1);
    },
);

export const bombing = group<Plant>({
  open: (place) => openPlant({ ...place, provider: 'https' }),
  attacks: [...single, refused, committed],
});
