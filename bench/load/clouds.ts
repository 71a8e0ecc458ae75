/** The three loopback clouds in their own process, with control of their faults. */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { freePort, HEADGATE, pause, type Workshop } from './programs.ts';

export type CloudName = 'aws' | 'azure' | 'gcp';

export interface Clouds {
  /** The `providers[]` entry for an agent. */
  provider(name: CloudName): object;
  /** Sets a fault with the options of the control API; null clears it. */
  setFault(name: CloudName, fault: { fault: string; [option: string]: unknown } | null): Promise<void>;
}

const READY_TRIES = 100;
const READY_PAUSE_MS = 100;

export async function startClouds(shop: Workshop, bin: string = HEADGATE): Promise<Clouds> {
  const dir = `${shop.folder}/clouds`;
  const control = await freePort();
  await shop.node([bin, 'clouds', '--dir', dir, '--control-port', String(control)], control);
  const providers = await writtenProviders(`${dir}/agent.yaml`);
  return {
    provider: (name) => providers.find(({ type }) => type === name) ?? {},
    async setFault(name, fault) {
      const url = `http://127.0.0.1:${control}/v1/clouds/${name}/fault`;
      const put = {
        method: 'PUT',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(fault),
      };
      const response = await fetch(url, fault ? put : { method: 'DELETE' });
      if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`);
    },
  };
}

/** Waits for the file that the clouds write once they are up. */
async function writtenProviders(file: string): Promise<Array<{ type: string }>> {
  for (let tries = 0; tries < READY_TRIES; tries++) {
    const providers = readProviders(file);
    if (providers.length > 0) return providers;
    await pause(READY_PAUSE_MS);
  }
  throw new Error('the loopback clouds wrote no agent.yaml');
}

function readProviders(file: string): Array<{ type: string }> {
  try {
    const config: { providers?: Array<{ type: string }> } | null = parse(readFileSync(file, 'utf8'));
    return config?.providers ?? [];
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}
