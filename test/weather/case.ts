/** A weather case as a file of test/weather/cases holds it. */
import { readdirSync, readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';
import { duration } from '../../shared/config/kinds.ts';
import { ANSWERINGS } from './name-server.ts';

/** A change of the weather. What it does not name stays. */
const weather = z.strictObject({
  /** How names are answered: `aws`, `gcp`, `router`, or `*` for all others. */
  dns: z.record(z.string(), z.enum(ANSWERINGS)).default({}),
  wire: z
    .strictObject({
      /** One way, in milliseconds. */
      delay4: z.int().min(0),
      delay6: z.int().min(0),
      drop4: z.boolean(),
      drop6: z.boolean(),
      /** Packets above it vanish without a word; 0: none do. */
      mtu: z.int().min(0),
      /** Bytes per second and direction; 0: as fast as it goes. */
      rate: z.int().min(0),
    })
    .partial()
    .default({}),
  /** Breaks every connection, as a NAT that starts anew. */
  cut: z.boolean().default(false),
  /** Edge's interface goes down or comes up. */
  link: z.enum(['up', 'down']).optional(),
  /** Edge gets this address instead of the one it has. */
  address: z.ipv4().optional(),
  /** A proxy for the agent: there from the start if `before` says `up`. */
  proxy: z.enum(['up', 'down']).optional(),
  /** Text of edge's hosts file, added to its own. */
  hosts: z.string().optional(),
  /** Text of edge's resolv.conf. */
  resolv_conf: z.string().optional(),
});

const schema = z.strictObject({
  name: z.string(),
  /** The endpoint's host of each provider, where it is not `<name>.cloud.test`. */
  hosts_of: z.record(z.string(), z.string()).default({}),
  before: weather.prefault({}),
  timeline: z.array(weather.extend({ at: duration() })).default([]),
  /** Which providers accept again, and by when: counted from the last change, or from the agent's start. */
  recovers: z.strictObject({ providers: z.array(z.string()).min(1), within: duration() }),
});

export type Weather = z.output<typeof weather>;
export type WeatherCase = z.output<typeof schema>;

export function readCases(folder: URL): WeatherCase[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.yaml'))
    .toSorted()
    .flatMap((name) => z.array(schema).parse(parse(readFileSync(new URL(name, folder), 'utf8'))));
}
