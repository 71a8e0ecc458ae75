/** Another user of the gateway's machine, and the service's own user after a break-in, against root. */
import { execFile, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BIN } from '../../cli/run.ts';
import { type Attack, count, group } from '../attack.ts';
import { Device, Site } from '../world/site.ts';

/** Users without an account: nobody else's files are theirs. */
const SERVICE = 64_001;
const OTHER = 64_002;
const SECRET = 'root’s own secret\n';
/** Read, write and execute for all users but the owner. */
const OTHERS = 0o077;

class Folder {
  readonly dir = mkdtempSync(join(tmpdir(), 'headgate-attack-'));

  constructor() {
    chmodSync(this.dir, 0o755);
  }

  /** A folder of the service with a configuration of root. */
  service(name: string): { data: string; config: string } {
    const data = join(this.dir, name);
    mkdirSync(data, { mode: 0o700 });
    chownSync(data, SERVICE, SERVICE);
    const config = join(this.dir, `${name}.yaml`);
    const providers = `providers: [{ name: away, type: mqtt, url: 'mqtt://127.0.0.1:1' }]`;
    const broker = `broker: { listeners: [{ type: tcp, port: 0 }] }`;
    const text = `gateway: gw-1\ndata_dir: ${data}\n${broker}\n${providers}\npolicy: { streams: { telemetry: { topics: ['#'] } } }\nadmin: { port: 0 }\n`;
    writeFileSync(config, text);
    return { data, config };
  }

  secret(name: string): string {
    const file = join(this.dir, name);
    writeFileSync(file, SECRET, { mode: 0o600 });
    return file;
  }

  ended(): null {
    return null;
  }

  async stop(): Promise<void> {
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** A command of root; what it said. */
function root(args: readonly string[], input = ''): Promise<string> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [BIN, ...args], { timeout: 60_000 }, (_error, out, err) =>
      resolve(out + err),
    );
    child.stdin?.end(input);
  });
}

/** Secrets that changed, have another owner, or were told. */
function harmed(files: readonly string[], said: string): number {
  const isHarmed = (file: string): boolean => {
    const { uid, mode } = lstatSync(file);
    return readFileSync(file, 'utf8') !== SECRET || uid !== 0 || (mode & OTHERS) !== 0;
  };
  return files.filter(isHarmed).length + Number(said.includes(SECRET.trim()));
}

function trap(
  name: string,
  plant: (data: string, secret: string) => void,
  args: (config: string) => string[],
): Attack<Folder> {
  return {
    name: `files/${name}`,
    by: ['local user'],
    async run(folder) {
      const { data, config } = folder.service(name);
      const secret = folder.secret(`${name}.secret`);
      plant(data, secret);
      for (const file of readdirSync(data)) lchownSync(join(data, file), SERVICE, SERVICE);
      const said = await root(args(config), 'a-password-of-8\n');
      return count(harmed([secret], said), 'files of root changed, given away or told');
    },
  };
}

const add = (config: string): string[] => ['device', 'add', 'pump', '--password-stdin', '--config', config];

const openFolder: Attack<Folder> = {
  name: 'files/open-data-dir',
  by: ['local user'],
  async run(folder) {
    const { data, config } = folder.service('open');
    chownSync(data, OTHER, OTHER);
    chmodSync(data, 0o777);
    const said = await root(['agent', '--config', config]);
    return count(
      Number(said.includes('process.ready')),
      `agent started in a folder where ${OTHER} may write`,
    );
  },
};

/** An agent that is started with umask 000 leaves nothing that another user may read. */
const modes: Attack<Folder> = {
  name: 'files/umask',
  by: ['local user', 'card thief'],
  async run() {
    const before = process.umask(0);
    const site = await Site.open();
    try {
      const device = await Device.login({ port: site.ports.tcp });
      await device?.publish('plant/good', 'x');
      device?.socket.destroy();
      const data = join(site.agent.dir, 'data');
      const files = readdirSync(data, { recursive: true }).map((file) => join(data, String(file)));
      const open = [data, ...files].filter((file) => (lstatSync(file).mode & OTHERS) !== 0);
      return count(open.length, `of ${files.length} files and folders for other users`);
    } finally {
      process.umask(before);
      await site.stop();
    }
  },
};

/** Another user reads what the agent made. */
const reading: Attack<Folder> = {
  name: 'files/read-by-another-user',
  by: ['local user'],
  async run() {
    const site = await Site.open();
    try {
      chmodSync(site.dir, 0o755);
      chmodSync(site.agent.dir, 0o755);
      const data = join(site.agent.dir, 'data');
      const script = `cat ${data}/* ${site.agent.dir}/agent.yaml`;
      const { stdout } = spawnSync('sh', ['-c', script], { uid: OTHER, gid: OTHER, encoding: 'utf8' });
      return count(stdout.length, 'bytes of the configuration and the data folder read');
    } finally {
      await site.stop();
    }
  },
};

export const local = group<Folder>({
  needsRoot: true,
  open: () => Promise.resolve(new Folder()),
  attacks: [
    trap('link-for-a-file', (data, secret) => symlinkSync(secret, join(data, 'devices.json')), add),
    trap(
      'link-for-a-temporary-file',
      (data, secret) => symlinkSync(secret, join(data, 'devices.json.tmp')),
      add,
    ),
    trap(
      'link-for-the-ledger',
      (data, secret) => symlinkSync(secret, join(data, 'ledger.db')),
      (config) => ['ledger', 'verify', '--config', config],
    ),
    openFolder,
    modes,
    reading,
  ],
});
