/**
 * `npm run fuzz -- [--transport T] [--packets N] [--seed S] [--first C] [--json]`: hostile packets against
 * the broker of a real agent (docs/reference/conformance.md). Exits 1 when the agent ended, complained or
 * grew, or when well-behaved clients noticed.
 */
import { systemClock } from '../../shared/clock.ts';
import { systemEntropy } from '../../shared/entropy.ts';
import { readScript, whole } from '../script.ts';
import { type FuzzOptions, type FuzzResult, fuzz } from './fuzz.ts';
import { TRANSPORTS, type TransportName } from './transport.ts';

const UINT32_MAX = 2 ** 32 - 1;
const PROBLEMS_SHOWN = 5;
const SUSPECTS_SHOWN = 30;
const HEX_BYTES_MAX = 300;
/** More than garbage collection explains. */
const GROWTH_MB_MAX = 30;
/**
 * A shorter run is all warm-up, of the collector and of the sessions that hostile clients leave: its growth
 * is printed, not judged.
 */
const GROWTH_FROM_PACKETS = 100_000;

const { json, ...options } = readArguments();
console.log(`seed ${options.seed}`);
const result = await fuzz(options, systemClock, (line) => console.log(line));
const growthMb = result.memory.growthMb();
if (result.packets >= GROWTH_FROM_PACKETS && growthMb > GROWTH_MB_MAX)
  result.problems.push(`resident memory grew by ${growthMb.toFixed(1)} MB`);
if (result.problems.length > 0) describe(result, options);
const slope = result.memory.slopeMbPer100kPackets().toFixed(1);
console.log(
  `good publishes: ${result.goodAckMsMax} ms to the slowest PUBACK; memory: ${result.memory.maxMb.toFixed(0)} MB at most, ` +
    `${slope} MB per 100,000 packets after the warm-up`,
);
if (json) {
  const { packets, connections, crashes, goodAcked: good_acked, goodLost: good_lost } = result;
  const rss_growth_mb = Number(growthMb.toFixed(1));
  const { transport } = options;
  console.log(
    JSON.stringify({ transport, packets, connections, crashes, good_acked, good_lost, rss_growth_mb }),
  );
}
process.exitCode = result.problems.length === 0 ? 0 : 1;

function describe({ problems, suspects, dir }: FuzzResult, { seed, transport }: FuzzOptions): void {
  for (const problem of problems.slice(0, PROBLEMS_SHOWN)) console.log(`FAILED: ${problem}`);
  console.log(`the agent's folder is kept: ${dir}`);
  for (const { connection, index, bytes } of suspects.slice(-SUSPECTS_SHOWN)) {
    const hex = Buffer.from(bytes.subarray(0, HEX_BYTES_MAX)).toString('hex');
    const more = bytes.length > HEX_BYTES_MAX ? `… ${bytes.length} bytes` : '';
    console.log(`  seed ${seed}, connection ${connection}, packet ${index}: ${hex}${more}`);
  }
  if (suspects.length === 0) return;
  const first = Math.min(...suspects.map(({ connection }) => connection));
  console.log(
    `again: npm run fuzz -- --transport ${transport} --seed ${seed} --first ${first} --packets ${suspects.length}`,
  );
}

function readArguments(): FuzzOptions & { json: boolean } {
  return readScript(
    {
      command: 'npm run fuzz',
      does: 'Hostile packets against the broker of a real agent. Fails when it ended, complained or grew, or when well-behaved clients noticed.',
      options: {
        transport: { takes: TRANSPORTS.join('|'), default: 'tcp', is: 'what the attacked listener speaks' },
        packets: { takes: 'N', default: '100000', is: 'how many are sent' },
        seed: { takes: 'S', is: 'of all that is sent (default: random; it is printed)' },
        first: { takes: 'C', default: '0', is: 'begins with connection C of that seed' },
        json: { is: 'a last line for machines' },
      },
      example: '--transport ws --packets 20000',
    },
    ({ packets, first, transport, json, seed = String(Math.floor(systemEntropy.float() * UINT32_MAX)) }) => ({
      packets: whole('--packets', packets, 1),
      seed: whole('--seed', seed, 0),
      first: whole('--first', first, 0),
      transport: transportNamed(transport),
      json,
    }),
  );
}

function transportNamed(text: string): TransportName {
  const found = TRANSPORTS.find((name) => name === text);
  if (found !== undefined) return found;
  throw new Error(`--transport must be one of ${TRANSPORTS.join(', ')}`);
}
