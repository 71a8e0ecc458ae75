/** One gateway with a key sends without end. Others go on, and it gets no further than its quotas. */
import { type Attack, count, group } from '../attack.ts';
import { signed } from '../bytes/envelope.ts';
import { openPlant } from '../world/open-plant.ts';
import type { Plant } from '../world/plant.ts';
import { goodPost } from './bombs.ts';

const TAKEN = 200;
const GOOD_POSTS = 40;
const RATE = 20;
const STREAMS_MAX = 10;
const STREAMS = 60;
const AT_ONCE = 8;
const FLOOD_MAX = 20_000;

const envelopes: Attack<Plant> = {
  name: 'flood/envelopes',
  by: ['gateway'],
  async run(plant) {
    let refused = 0;
    let isOver: boolean = false;
    let seq = 0;
    const one = async (): Promise<void> => {
      while (!isOver && seq < FLOOD_MAX) {
        seq += 1;
        const bytes = signed({ gateway: 'gw-2', epoch: '1-0000000e', seqs: [seq] }, plant.keys['gw-2']);
        const { status } = await plant.senders['gw-2'].post(bytes);
        if (status !== TAKEN) refused += 1;
      }
    };
    const flooding = Promise.all(Array.from({ length: AT_ONCE }, one));
    let lost = 0;
    for (let i = 0; i < GOOD_POSTS; i += 1) {
      await goodPost(plant).catch(() => {
        lost += 1;
      });
    }
    while (refused === 0 && seq < FLOOD_MAX) await new Promise(setImmediate);
    isOver = true;
    await flooding;
    if (refused === 0) throw new Error('the flood was never over its quota');
    return count(lost, `of ${GOOD_POSTS} good envelopes refused beside a flood`);
  },
};

const streams: Attack<Plant> = {
  name: 'flood/streams',
  by: ['gateway'],
  async run(plant) {
    const { senders, keys } = plant;
    let taken = 0;
    for (let i = 0; i < STREAMS; i += 1) {
      const made = { gateway: 'gw-2', epoch: `${i}-0000000f`, stream: `s-${i}`, seqs: [1] };
      if ((await senders['gw-2'].post(signed(made, keys['gw-2']))).status === TAKEN) taken += 1;
    }
    await goodPost(plant);
    return count(taken, `of ${STREAMS} new streams of one gateway taken`, STREAMS_MAX);
  },
};

export const floods = group<Plant>({
  open: (place) =>
    openPlant(
      { ...place, provider: 'https' },
      {
        router: {
          quotas: {
            groups: [
              {
                name: 'watched',
                gateways: ['gw-2'],
                envelopes_per_second: RATE,
                new_streams_per_day: STREAMS_MAX,
              },
            ],
          },
        },
      },
    ),
  attacks: [streams, envelopes],
});
