/** Names and texts from afar on an operator's terminal. */

import { connectAsync } from 'mqtt';
import { headgate } from '../../cli/run.ts';
import { until } from '../../until.ts';
import { type Attack, count, group } from '../attack.ts';
import { bodyOf, plain, signed } from '../bytes/envelope.ts';
import { openPlant } from '../world/open-plant.ts';
import type { Plant } from '../world/plant.ts';

/** Clears the screen, sets a title, goes back a line, turns the text around; C1 does the same in one. */
const EVIL = '\u001b[2J\u001b]0;x\u0007\u009b1A\u202egnp\u2066\r\b\u2028x';
/** C0 but for the line feed, DEL and C1, bidirectional controls, line separators. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are looked for
const FORBIDDEN = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;

function prints(name: string, commands: (plant: Plant) => string[][]): Attack<Plant> {
  return {
    name: `terminal/${name}`,
    by: ['device', 'cloud account', 'gateway'],
    async run(plant) {
      let found = 0;
      let printed = 0;
      for (const args of commands(plant)) {
        const { stdout, stderr } = await headgate(args);
        printed += stdout.length;
        found += (stdout + stderr).match(FORBIDDEN)?.length ?? 0;
      }
      if (printed === 0) throw new Error('nothing was printed');
      return count(found, `control characters in ${printed} printed`);
    },
  };
}

const at = ({ url }: { url: string }) => ['--admin', url];

export const terminal = group<Plant>({
  async open(place) {
    const plant = await openPlant({ ...place, provider: 'https' });
    const device = await connectAsync(`mqtt://127.0.0.1:${plant.brokerPort}`, { clientId: EVIL });
    await device.publishAsync(`plant/${EVIL}`, EVIL, { qos: 1 });
    await device.endAsync();
    const made = {
      gateway: 'gw-2',
      epoch: '1-0000000d',
      seqs: [1],
      topic: `a/${EVIL}`,
      device: EVIL,
      text: EVIL,
    };
    await plant.senders['gw-2'].post(signed(made, plant.keys['gw-2']));
    await plant.senders['gw-2'].post(plain(bodyOf(made)));
    await until(
      'both are there',
      async () => (await plant.letters()) > 0 && (await plant.status()).ledger?.records,
    );
    return plant;
  },
  attacks: [
    prints('agent', ({ agent }) => [
      ['status', ...at(agent)],
      ['clients', ...at(agent)],
      ['explain', ...at(agent)],
      ['costs', ...at(agent)],
    ]),
    prints('router', ({ router }) => [
      ['status', '--router', ...at(router)],
      ['deadletter', 'ls', '--config', router.configFile],
      ['deadletter', 'show', '1', '--config', router.configFile],
      ['completeness', ...at(router)],
      ['ledger', 'verify', '--config', router.configFile],
      ['ledger', 'where', 'gw-2/1-0000000d/telemetry/1', '--config', router.configFile],
      ['feeds', 'ls', '--config', router.configFile],
    ]),
  ],
});
