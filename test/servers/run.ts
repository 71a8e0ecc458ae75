/** `npm run test:servers`: the suites that need somebody else's server, or a C compiler. */
import { globSync } from 'node:fs';
import { ROOT } from '../runner/run-file.ts';
import { runFiles } from '../runner/run-files.ts';
import { readScript } from '../script.ts';
import { NEEDS as MACHINE } from './debian-root.ts';

const MOSQUITTO = ['mosquitto', 'mosquitto-clients'];
const POSTGRES = ['postgresql'];
const NATS = ['nats-server'];
const PGBOUNCER = ['pgbouncer'];
const TINYPROXY = ['tinyproxy'];
const COMPILER = ['gcc', 'libc6-dev'];

/** The ledger's kills and the power cuts take long on a busy machine. */
const SUITE_MS_MAX = 1_800_000;

interface Suite {
  file: string;
  /** Debian packages that hold its servers. */
  needs: readonly string[];
}

const SUITES: Readonly<Record<string, Suite>> = {
  mosquitto: { file: 'test/servers/mosquitto.servers.ts', needs: MOSQUITTO },
  'mosquitto-qos2': { file: 'test/servers/mosquitto-qos2.servers.ts', needs: MOSQUITTO },
  postgres: { file: 'test/servers/postgres.servers.ts', needs: POSTGRES },
  'postgres-feeds': { file: 'test/servers/postgres-feeds.servers.ts', needs: POSTGRES },
  'postgres-table': { file: 'test/servers/postgres-table.servers.ts', needs: POSTGRES },
  'postgres-refused': { file: 'test/servers/postgres-refused.servers.ts', needs: POSTGRES },
  'postgres-locks': { file: 'test/servers/postgres-locks.servers.ts', needs: POSTGRES },
  pgbouncer: { file: 'test/servers/pgbouncer.servers.ts', needs: [...POSTGRES, ...PGBOUNCER] },
  proxies: { file: 'test/servers/proxies.servers.ts', needs: TINYPROXY },
  'proxies-router': { file: 'test/servers/proxies-router.servers.ts', needs: TINYPROXY },
  'feed-text': { file: 'test/servers/feed-text.servers.ts', needs: [...POSTGRES, ...NATS, ...MOSQUITTO] },
  'mosquitto-refused': { file: 'test/servers/mosquitto-refused.servers.ts', needs: MOSQUITTO },
  partitions: { file: 'test/servers/partitions.servers.ts', needs: POSTGRES },
  'rolling-restart': { file: 'test/servers/rolling-restart.servers.ts', needs: [...POSTGRES, ...NATS] },
  nats: { file: 'test/servers/nats.servers.ts', needs: NATS },
  'nats-refused': { file: 'test/servers/nats-refused.servers.ts', needs: NATS },
  jetstream: { file: 'test/servers/jetstream.servers.ts', needs: NATS },
  'connect-check': { file: 'test/servers/connect-check.servers.ts', needs: [...POSTGRES, ...NATS] },
  'jetstream-parts': { file: 'test/servers/jetstream-parts.servers.ts', needs: NATS },
  'postgres-parts': { file: 'test/servers/postgres-parts.servers.ts', needs: POSTGRES },
  'bytes-erased': { file: 'test/servers/bytes-erased.servers.ts', needs: [...POSTGRES, ...NATS] },
  'own-ca': { file: 'test/docs/own-ca.servers.ts', needs: ['openssl'] },
  ocsp: { file: 'test/shared/ocsp/stapling.servers.ts', needs: ['openssl'] },
  terminal: { file: 'test/servers/terminal.servers.ts', needs: ['bsdutils', 'coreutils'] },
  root: { file: 'test/cli/as-root.servers.ts', needs: POSTGRES },
  'fuzz-postgres': { file: 'test/servers/fuzz-postgres.servers.ts', needs: POSTGRES },
  'fuzz-jetstream': { file: 'test/servers/fuzz-jetstream.servers.ts', needs: NATS },
  descriptors: { file: 'test/servers/descriptors.servers.ts', needs: ['util-linux'] },
  units: { file: 'test/servers/units.servers.ts', needs: ['systemd'] },
  'booted-units': { file: 'test/servers/booted-units.servers.ts', needs: MACHINE },
  powercut: { file: 'test/powercut/powercut.servers.ts', needs: COMPILER },
  'faulty-disk': { file: 'test/faulty-disk/faulty-disk.servers.ts', needs: COMPILER },
  'faulty-disk-start': { file: 'test/faulty-disk/start.servers.ts', needs: COMPILER },
};

const names = Object.keys(SUITES);
const { chosen, packages } = readScript(
  {
    command: 'npm run test:servers',
    argument: '[suite …]',
    does: `Runs the suites that need real servers, one after the other, or those named: ${names.join(', ')}. A suite whose server is missing fails and names the package. Exits 1 when one failed.`,
    options: { packages: { is: 'prints the Debian packages that the suites need, and runs nothing' } },
    example: 'postgres jetstream',
  },
  ({ packages }, chosen) => {
    for (const name of chosen) {
      if (!(name in SUITES)) throw new Error(`there is no suite "${name}"`);
    }
    const files = Object.values(SUITES).map(({ file }) => file);
    for (const file of globSync('test/**/*.servers.ts', { cwd: ROOT })) {
      if (!files.includes(file)) throw new Error(`${file} is in no suite: list it in test/servers/run.ts`);
    }
    return { chosen: chosen.length === 0 ? names : chosen, packages };
  },
);

const suites = chosen.flatMap((name) => SUITES[name] ?? []);
if (packages) {
  console.log([...new Set(suites.flatMap(({ needs }) => needs))].join(' '));
} else {
  process.exitCode = (await runFiles(
    suites.map(({ file }) => file),
    { jobs: 1, fileMsMax: SUITE_MS_MAX },
  ))
    ? 0
    : 1;
}
