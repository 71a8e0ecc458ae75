/**
 * A provider reads what passes. Its view is that of a router without the key: that keeps each message as the
 * provider stored it, bytes and properties, as a dead letter.
 */
import { createPublicKey } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { connectAsync } from 'mqtt';
import { systemEntropy as entropy } from '../../../shared/entropy.ts';
import { newSealKey } from '../../../shared/sealing/seal-key.ts';
import { until } from '../../until.ts';
import { type Attack, count, group } from '../attack.ts';
import { openPlant } from '../world/open-plant.ts';
import type { Plant } from '../world/plant.ts';

/** Too short to be compressed: what is there in clear is found as it is. */
const SEALED = { topic: 'plant/pump/bar', payload: 'pressure 4.7' };
const CLEAR = { topic: 'clear/pump/bar', payload: 'pressure 3.9' };

/** Whether a file of the router holds the text. */
function isKept(dir: string, text: string): boolean {
  const files = readdirSync(dir, { recursive: true }).map((file) => join(dir, String(file)));
  return files.some((file) => statSync(file).isFile() && readFileSync(file).includes(text));
}

const providerReads: Attack<Plant> = {
  name: 'sealed/provider-reads',
  by: ['cloud account', 'network'],
  async run(plant) {
    await plant.record([SEALED.payload]);
    const device = await connectAsync(`mqtt://127.0.0.1:${plant.brokerPort}`, { clientId: 'pump' });
    await device.publishAsync(CLEAR.topic, CLEAR.payload, { qos: 1 });
    await device.endAsync();
    await plant.release();
    for (const reason of ['seal-key', 'unsealed'])
      await until(`a message is kept: ${reason}`, async () => (await plant.letters(reason)) > 0);
    const dir = plant.router.dir;
    for (const text of Object.values(CLEAR))
      if (!isKept(dir, text)) throw new Error('what is sent in clear is not found: the search is blind');
    const read = Object.values(SEALED).filter((text) => isKept(dir, text));
    return count(read.length, 'of a topic and a payload were in what the provider stored');
  },
};

export const sealing = group<Plant>({
  varies: ['provider'],
  open({ engine, provider }) {
    const pem = createPublicKey(newSealKey(entropy)).export({ type: 'spki', format: 'pem' });
    const streams = {
      clear: { topics: ['clear/#'], until: 'receipt' },
      telemetry: { topics: ['#'], until: 'receipt', seal: true },
    };
    return openPlant(
      { engine, provider },
      {
        router: { sealing: { required_streams: ['clear'] } },
        agent: { router_seal_keys: [pem], policy: { streams } },
      },
    );
  },
  attacks: [providerReads],
});
