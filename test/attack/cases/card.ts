/** Somebody has the gateway's card: all files of the agent, its key among them. */

import { createPublicKey } from 'node:crypto';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { until } from '../../until.ts';
import { type Attack, count, group } from '../attack.ts';
import { signed } from '../bytes/envelope.ts';
import { openPlant } from '../world/open-plant.ts';
import type { Plant } from '../world/plant.ts';
import { Device, PASSWORD, Site } from '../world/site.ts';
import { goodPost } from './bombs.ts';

const TAKEN = 200;
const AFTER = 5;

const passwords: Attack<Site> = {
  name: 'card/passwords',
  by: ['card thief', 'local user'],
  async run(site) {
    for (const name of ['good', 'fresh'])
      (await Device.login({ port: site.ports.tcp, name }))?.socket.destroy();
    const dir = site.agent.dir;
    const files = readdirSync(dir, { recursive: true }).map((file) => join(dir, String(file)));
    const holding = files.filter((file) => statSync(file).isFile() && readFileSync(file).includes(PASSWORD));
    return count(holding.length, `of ${files.length} files hold a device’s password`);
  },
};

/** The stolen key writes until the operator takes it from `gateways_file`; then nothing, and others go on. */
const withdrawn: Attack<Plant> = {
  name: 'card/key-withdrawn',
  by: ['card thief', 'gateway'],
  async run(plant) {
    const { keys, senders } = plant;
    let seq = 0;
    const post = async (): Promise<number> => {
      seq += 1;
      const bytes = signed({ gateway: 'gw-2', epoch: '1-00000010', seqs: [seq] }, keys['gw-2']);
      return (await senders['gw-2'].post(bytes)).status;
    };
    if ((await post()) !== TAKEN) throw new Error('the key was not in force before');
    const pem = createPublicKey(keys.good).export({ type: 'spki', format: 'pem' });
    writeFileSync(plant.gatewaysFile, stringify({ gateways: { good: { public_keys: [pem] } } }));
    await until('the router has read the file', async () => (await post()) !== TAKEN);
    let taken = 0;
    for (let i = 0; i < AFTER; i += 1) if ((await post()) === TAKEN) taken += 1;
    await goodPost(plant);
    return count(taken, `of ${AFTER} envelopes taken after the key was withdrawn`);
  },
};

export const cardFiles = group<Site>({ open: () => Site.open(), attacks: [passwords] });
export const cardKeys = group<Plant>({
  open: (place) => openPlant({ ...place, provider: 'https' }),
  attacks: [withdrawn],
});
