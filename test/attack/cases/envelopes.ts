/**
 * Envelopes that the gateway did not send so, by somebody who may publish at its provider. The agent holds
 * 20 acknowledged records that have not left: none of the claims may free one, or change a word of the ledger
 * about them.
 */

import { until } from '../../until.ts';
import { type Attack, count, group } from '../attack.ts';
import { bodyOf, downgraded, grafted, type Made, plain, signed } from '../bytes/envelope.ts';
import { openPlant } from '../world/open-plant.ts';
import type { Plant } from '../world/plant.ts';

const RECORDS = 20;
const PAYLOADS = Array.from({ length: RECORDS }, (_, i) => `genuine ${i + 1}`);
const FUTURE = 2 ** 50;
const REASON_QUOTA = 0;
const REPLAYS = 20;

/** Claims of an envelope about the agent's stream, whose records 1 to 20 wait. */
const CLAIMS: Readonly<Record<string, Made>> = {
  gap: { gaps: [[1, RECORDS, REASON_QUOTA]] },
  end: { sealedAt: 0 },
  clock: { seqs: [1], text: 'forged', clock: ['boot-1', 4_000_000_000_000, 1] },
  future: { seqs: [FUTURE], text: 'forged' },
  content: { seqs: PAYLOADS.map((_, i) => i + 1), text: 'forged' },
};

/** How it is made to look genuine. */
const FORMS: Readonly<Record<string, (made: Made, keys: Plant['keys']) => Uint8Array>> = {
  stripped: (made) => plain(bodyOf(made)),
  stranger: (made, keys) => signed(made, keys.stranger),
  'cross-gateway': (made, keys) => signed(made, keys['gw-2']),
  downgraded: (made, keys) => downgraded(made, keys['gw-1']),
  grafted: ({ epoch = '', ...made }, keys) =>
    grafted({ epoch, seqs: [1], text: 'observed' }, keys['gw-1'], bodyOf({ epoch, ...made })),
};

class Waiting {
  readonly plant: Plant;
  readonly epoch: string;

  constructor(plant: Plant, epoch: string) {
    this.plant = plant;
    this.epoch = epoch;
  }

  /** The ledger's words about the agent's stream. */
  async said(): Promise<string> {
    const state = await this.plant.stream('gw-1', 'telemetry', this.epoch);
    const { lastContactMs: _, ...rest } = { lastContactMs: 0, ...state };
    return JSON.stringify(rest);
  }

  async kept(): Promise<number> {
    return (await this.plant.agentStatus()).buffer.rows;
  }

  ended(): string | null {
    return this.plant.ended();
  }

  stop(): Promise<void> {
    return this.plant.stop();
  }
}

const forgeries = Object.entries(CLAIMS).flatMap(([claim, made]) =>
  Object.entries(FORMS).map(
    ([form, make]): Attack<Waiting> => ({
      name: `envelope/${claim}-${form}`,
      by: form === 'cross-gateway' ? ['gateway', 'cloud account'] : ['cloud account', 'network'],
      async run(target) {
        const before = await target.said();
        await target.plant.refused(make({ ...made, epoch: target.epoch }, target.plant.keys));
        const isChanged = (await target.said()) !== before;
        const lost = RECORDS - (await target.kept());
        return count(lost + Number(isChanged), 'rows freed or claims believed');
      },
    }),
  ),
);

const replayed: Attack<Waiting> = {
  name: 'envelope/replayed',
  by: ['cloud account', 'network'],
  async run({ plant }, { provider }) {
    const bytes = signed({ epoch: '1-0000000a', stream: 'replayed', seqs: [1, 2, 3] }, plant.keys['gw-1']);
    // A gateway that sends another one's envelope to the router itself is refused by its login.
    if (provider === 'https') {
      await plant.refused(bytes);
      return count(Number((await plant.stream('gw-1', 'replayed')) !== null), 'records more than once');
    }
    for (let i = 0; i <= REPLAYS; i += 1) await plant.publish(bytes);
    const state = await until('all copies are counted', async () => {
      const now = await plant.stream('gw-1', 'replayed');
      return now && now.duplicates >= REPLAYS * 3 ? now : null;
    });
    return count(state.records - 3 + state.conflicts, 'records more than once');
  },
};

/** The last of them: the provider's hold ends, and what the agent kept has to arrive. */
const ledgerAfter: Attack<Waiting> = {
  name: 'envelope/genuine-after-all',
  by: ['cloud account'],
  async run({ plant, epoch }) {
    await plant.release();
    const state = await until('the agent’s records are in the ledger', async () => {
      const now = await plant.stream('gw-1', 'telemetry', epoch);
      return now && now.completeTo >= RECORDS ? now : null;
    });
    await until('the receipt frees them', async () => (await plant.agentStatus()).buffer.rows === 0);
    const wrong = Math.abs(state.records - RECORDS) + state.givenUpCount + state.conflicts;
    return count(wrong + Number(state.sealedAt !== null), 'records wrong, given up or in conflict');
  },
};

export const envelopes = group<Waiting>({
  varies: ['engine', 'provider'],
  async open(place) {
    const plant = await openPlant(place);
    await plant.record(PAYLOADS);
    const { epoch } = await plant.agentStatus();
    return new Waiting(plant, epoch);
  },
  attacks: [...forgeries, replayed, ledgerAfter],
});
