/** One gateway with a key fills the ledger with what it keeps aside. It gets no further than its quotas. */
import { headgate } from '../../cli/run.ts';
import { type Attack, count, group, type Place } from '../attack.ts';
import { signed } from '../bytes/envelope.ts';
import { openPlant } from '../world/open-plant.ts';
import type { Plant } from '../world/plant.ts';
import { goodPost } from './bombs.ts';

const TAKEN = 200;
const LETTERS_MAX = 20;
/** Where routers share a ledger, each looks after so many letters. */
const LOOKED_AFTER = 256;
const GOOD_LETTERS = 3;
const RANGES_MAX = 10;
const ENVELOPES = 40;
/** The name that only the attacker's rows have; each of its rows holds it. */
const LONG_NAME = 'x'.repeat(60);

interface Letter {
  reason: string;
  detail: string;
}

/** Posts envelopes in the name of another gateway: each becomes a dead letter. */
async function misnamed(plant: Plant, by: 'good' | 'gw-2', name: string, letters: number): Promise<void> {
  for (let i = 0; i < letters; i += 1) {
    const bytes = signed({ gateway: name, epoch: `${i}-0000000e`, seqs: [1] }, plant.keys[by]);
    const { status } = await plant.senders[by].post(bytes);
    if (status === TAKEN) throw new Error('an envelope in the name of another gateway was taken');
  }
}

async function lettersOf({ router }: Plant): Promise<Letter[]> {
  const { code, stdout, stderr } = await headgate([
    ...['deadletter', 'ls', '--limit', '10000', '--json', '--config', router.configFile],
  ]);
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

const floodOf = ({ engine, isShort }: Place): number =>
  engine === 'sqlite' ? (isShort ? 60 : 200) : 2 * LOOKED_AFTER + LETTERS_MAX;

const othersLetters: Attack<Plant> = {
  name: 'stored/others-dead-letters',
  by: ['gateway'],
  async run(plant, place) {
    await misnamed(plant, 'good', 'somebody', GOOD_LETTERS);
    await misnamed(plant, 'gw-2', LONG_NAME, floodOf(place));
    const left = (await lettersOf(plant)).filter(({ detail }) => detail.includes('somebody'));
    await goodPost(plant);
    return count(
      GOOD_LETTERS - left.length,
      `of ${GOOD_LETTERS} older dead letters of another gateway pushed out by a flood of ${floodOf(place)}`,
    );
  },
};

const letters: Attack<Plant> = {
  name: 'stored/dead-letters',
  by: ['gateway'],
  async run(plant, place) {
    await misnamed(plant, 'gw-2', LONG_NAME, floodOf(place));
    const own = (await lettersOf(plant)).filter(({ detail }) => detail.includes(LONG_NAME));
    const { overQuota = [] } = await plant.status();
    const told = overQuota.find(({ gateway, quota }) => gateway === 'gw-2' && quota === 'dead-letters');
    if ((told?.dropped ?? 0) === 0) throw new Error('the status does not say who is over its quota');
    const bound = place.engine === 'sqlite' ? LETTERS_MAX : LETTERS_MAX + LOOKED_AFTER;
    return count(own.length, `dead letters of ${floodOf(place)} by one gateway kept`, bound);
  },
};

const ranges: Attack<Plant> = {
  name: 'stored/ranges',
  by: ['gateway'],
  async run(plant) {
    let taken = 0;
    for (let i = 0; i < ENVELOPES; i += 1) {
      const made = { gateway: 'gw-2', epoch: '1-0000000d', seqs: [2 * i + 1] };
      if ((await plant.senders['gw-2'].post(signed(made, plant.keys['gw-2']))).status === TAKEN) taken += 1;
    }
    await goodPost(plant);
    const kept = (await lettersOf(plant)).filter(({ detail }) => detail.includes('ranges in stream'));
    if (kept.length < Math.min(ENVELOPES - taken, LETTERS_MAX)) {
      throw new Error(`${kept.length} of ${ENVELOPES - taken} refused envelopes are kept`);
    }
    return count(taken, `of ${ENVELOPES} separate ranges in one stream taken`, RANGES_MAX);
  },
};

export const stored = group<Plant>({
  varies: ['engine'],
  open: (place) =>
    openPlant(
      { ...place, provider: 'https' },
      {
        router: {
          dead_letters: { max_bytes: '16KiB' },
          quotas: {
            groups: [
              {
                name: 'watched',
                gateways: ['gw-2'],
                ranges_per_stream: RANGES_MAX,
                dead_letters: LETTERS_MAX,
              },
            ],
          },
        },
      },
    ),
  attacks: [ranges, othersLetters, letters],
});
