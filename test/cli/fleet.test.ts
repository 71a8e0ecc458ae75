/** `headgate fleet init` and `verify`: real files, and every mistake with its file and field. */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { systemClock } from '../../shared/clock.ts';
import { type FleetContent, publicKeyOf, signFleetDocument } from '../../shared/fleet/sign.ts';
import { readKeys } from '../../shared/signing/key-folder.ts';
import type { Signer } from '../../shared/signing/signature.ts';
import { command, folderWith, headgate } from './run.ts';

interface Fleet {
  folder: string;
  authority: string;
  root: string;
  signer: Signer;
}

async function init(t: Test): Promise<Fleet> {
  const folder = join(folderWith(t, {}), 'fleet');
  const { code, stdout, stderr } = await command(['fleet', 'init', folder, '--name', 'plant', '--json']);
  t.match({ code, stderr }, { code: 0, stderr: '' });
  const { authority, root, keyId } = JSON.parse(stdout);
  const [key] = (await readKeys(`${folder}.keys`)).keys;
  if (!key || key.signer.keyId !== keyId) throw new Error('another key');
  return { folder, authority, root, signer: key.signer };
}

/** Puts a signed document of this fleet into its folder. */
function put({ folder, signer }: Fleet, name: string, content: FleetContent): string {
  const { envelope, digest } = signFleetDocument([signer], content);
  writeFileSync(join(folder, name), JSON.stringify(envelope));
  return digest;
}

function policyOf({ authority }: Fleet, note = ''): FleetContent {
  const policy = { streams: { telemetry: { topics: ['#'] } } };
  return {
    kind: 'policy',
    content: { authority, policy, requires: { agent: '0.2.0', providers: [] }, note },
  };
}

function assignmentOf({ authority }: Fleet, digest: string, sequence: number, group = 'all'): FleetContent {
  const issued_ms = Math.floor(systemClock.wallMs());
  const content = {
    authority,
    term: 1,
    root: 1,
    sequence,
    scope: { group },
    issued_ms,
    accept_until_ms: issued_ms + 86_400_000,
    digest,
    baseline: null,
    rollout: 'ro-1',
    trial: { confirm_within_ms: 600_000 },
    holds: [],
    freeze: false,
  };
  return { kind: 'assignment', content };
}

t.test('init makes a key of its user alone and a folder that verifies', async (t) => {
  const { folder, authority, root, signer } = await init(t);
  t.match(authority, /^plant-[0-9a-f]{8}$/);
  const names = readdirSync(`${folder}.keys`);
  t.strictSame(names.sort(), ['.gitignore', `0001-${signer.keyId}.pem`]);
  for (const name of names.filter((one) => one.endsWith('.pem')))
    t.equal(statSync(join(`${folder}.keys`, name)).mode & 0o777, 0o600);
  t.strictSame(readdirSync(folder).sort(), [
    'README.md',
    'gateways',
    'groups',
    'policy.yaml',
    'root',
    'signed',
  ]);
  t.match(readFileSync(join(folder, 'README.md'), 'utf8'), root);
  const { code, stdout, stderr } = await command(['fleet', 'verify', folder, '--root', root]);
  t.match({ code, stderr }, { code: 0, stderr: '' });
  t.match(
    stdout,
    new RegExp(`root/1.json +root 1 of ${authority}, term 1 +${root.slice(0, 12)} +${signer.keyId} +ok`),
  );
  t.match(stdout, /policy.yaml +policy, 1 stream +– +– +ok/);
});

t.test('the same as a process of its own, in the folder where it is called', async (t) => {
  const folder = join(folderWith(t, {}), 'f');
  t.match(await headgate(['fleet', 'init', folder]), { code: 0, stderr: '', stdout: /Keep the key/ });
  t.equal(statSync(`${folder}.keys`).mode & 0o777, 0o700);
  t.match(await headgate(['fleet', 'verify', folder]), { code: 0, stderr: '' });
});

t.test('init writes over nothing, and keeps keys out of the folder', async (t) => {
  const dir = folderWith(t, { file: 'x' });
  const fleet = join(dir, 'fleet');
  await command(['fleet', 'init', fleet]);
  const before = readFileSync(join(fleet, 'root/1.json'), 'utf8');
  for (const [args, code, stderr] of [
    [[fleet], 1, /is there and not empty: name another folder/],
    [[join(dir, 'file')], 1, /is there and not empty/],
    [[join(dir, 'two'), '--keys', `${fleet}.keys`], 1, /has keys: name another folder with --keys/],
    [[join(dir, 'two'), '--keys', join(dir, 'two', 'keys')], 2, /--keys is inside of the fleet folder/],
    [[join(dir, 'two'), '--name', 'Plant 1'], 2, /--name "Plant 1": expected 1–48 of a–z/],
  ] as const) {
    t.match(await command(['fleet', 'init', ...args]), { code, stdout: '', stderr });
  }
  t.equal(readFileSync(join(fleet, 'root/1.json'), 'utf8'), before);
  t.notOk(existsSync(join(dir, 'two')));
  t.strictSame(
    readdirSync(dir).filter((name) => name.endsWith('.tmp')),
    [],
  );
});

t.test('verify says what each gateway would accept', async (t) => {
  const fleet = await init(t);
  const { folder } = fleet;
  writeFileSync(join(folder, 'groups/eu.yaml'), 'note: Europe\n');
  writeFileSync(join(folder, 'gateways/gw-1.yaml'), 'groups: [eu]\nlabels: { site: oslo }\n');
  writeFileSync(join(folder, 'gateways/gw-2.yaml'), '{}\n');
  const digest = put(fleet, 'signed/body.json', policyOf(fleet));
  put(fleet, 'signed/assign.json', assignmentOf(fleet, digest, 1, 'eu'));
  const inside = await command(['fleet', 'verify', folder, '--gateway', 'gw-1']);
  t.match(inside, { code: 0, stderr: '' });
  t.match(inside.stdout, /signed\/body.json +policy 1 .* accepted/);
  t.match(inside.stdout, /signed\/assign.json +assignment 1 of group eu: [0-9a-f]{12} .* accepted/);
  t.match(inside.stdout, /gateways\/gw-1.yaml +gateway of eu/);
  const outside = await command(['fleet', 'verify', folder, '--gateway', 'gw-2']);
  t.match(outside, { code: 0, stdout: /assign.json .* refused: for the group eu/ });
  t.match(outside.stdout, /body.json .* refused: policy [0-9a-f]{64} is not assigned/);
  t.match(await command(['fleet', 'verify', folder, '--gateway', 'gw-3']), {
    code: 2,
    stderr: /there is no correct gateways\/gw-3.yaml/,
  });
  put(fleet, 'signed/again.json', assignmentOf(fleet, 'b'.repeat(64), 1, 'eu'));
  t.match(await command(['fleet', 'verify', folder, '--gateway', 'gw-1']), {
    code: 1,
    stderr: /sequence 1 has two contents.*\n {4}fix: find out who signed the second/,
  });
});

t.test('verify names file, field and fix of each mistake', async (t) => {
  const fleet = await init(t);
  const { folder, root } = fleet;
  const stranger = await init(t);
  writeFileSync(join(folder, 'policy.yaml'), 'streams:\n  telemetry:\n    topcs: ["#"]\n');
  writeFileSync(join(folder, 'groups/all.yaml'), '{}\n');
  writeFileSync(join(folder, 'gateways/gw-1.yaml'), 'groups: [eu, all]\n');
  writeFileSync(join(folder, 'gateways/GW 2.yaml'), '{}\n');
  writeFileSync(join(folder, 'signed/cut.json'), '{"payload":');
  put({ ...fleet, signer: stranger.signer }, 'signed/foreign.json', policyOf(fleet));
  put(fleet, 'signed/field.json', assignmentOf(fleet, 'abc', 1));
  const { code, stdout, stderr } = await command(['fleet', 'verify', folder, '--root', root]);
  t.equal(code, 1);
  for (const problem of [
    /policy.yaml:3:5 {2}streams.telemetry.topcs\n.*\n.*topics/,
    /gateways\/gw-1.yaml:1:10 {2}groups\[0\]\n {4}no group has this name; found "eu"\n {4}fix: write groups\/eu.yaml/,
    /gateways\/gw-1.yaml:1:14 {2}groups\[1\]\n {4}names the group of all.*\n {4}fix: leave it out/,
    /gateways\/GW 2.yaml\n {4}the file’s name is that of the gateway: expected 1–64/,
    /groups\/all.yaml\n {4}"all" is the group of every gateway/,
    /signed\/cut.json\n {4}expected a DSSE envelope in JSON\n/,
    /signed\/foreign.json\n {4}0 of 1 needed signatures of the role policy; 1 of keys without the role\n {4}fix: have it signed by/,
    /signed\/field.json {2}digest\n {4}expected a SHA-256 in hex/,
  ])
    t.match(stderr, problem);
  t.match(stdout, /signed\/foreign.json +policy +– +– +mistake/);
});

t.test('a policy file without streams is a mistake: it would blank the fleet', async (t) => {
  const { folder } = await init(t);
  for (const text of ['', 'version: 3\n']) {
    writeFileSync(join(folder, 'policy.yaml'), text);
    t.match(await command(['fleet', 'verify', folder]), {
      code: 1,
      stderr: /policy.yaml {2}streams\n {4}missing: every gateway would get the default stream/,
    });
  }
});

t.test('verify: a root that is not the pinned one, one that skips, none at all', async (t) => {
  const { folder, authority, signer } = await init(t);
  const verify = (...args: string[]) => command(['fleet', 'verify', folder, ...args]);
  t.match(await verify('--root', 'a'.repeat(64)), { code: 1, stderr: /is not the pinned one, a{64}/ });
  t.match(await verify('--root', 'abc'), { code: 2, stderr: /--root: expected the SHA-256/ });
  const role = { keys: [signer.keyId], threshold: 1 };
  const rootOf = (version: number): FleetContent => ({
    kind: 'root',
    content: {
      authority,
      term: 1,
      version,
      issued_ms: 1,
      keys: { [signer.keyId]: publicKeyOf(signer) },
      roles: { root: role, policy: role, assign: role, ops: role },
    },
  });
  const here = { folder, authority, root: '', signer };
  put(here, 'root/3.json', rootOf(3));
  t.match(await verify(), {
    code: 1,
    stderr: /root\/3.json\n {4}root 3 skips a version: root 2 comes next\n/,
  });
  put(here, 'root/2.json', rootOf(2));
  t.match(await verify(), { code: 0, stdout: /root\/2.json.*\n.*root\/3.json/ });
  mkdirSync(join(folder, 'none', 'root'), { recursive: true });
  t.match(await command(['fleet', 'verify', join(folder, 'none')]), {
    code: 1,
    stderr: /there is no root\n/,
  });
});

t.test('verify of one file: in the folder, and elsewhere with --fleet', async (t) => {
  const fleet = await init(t);
  const { folder } = fleet;
  put(fleet, 'signed/body.json', policyOf(fleet));
  put(fleet, 'signed/other.json', policyOf(fleet, 'other'));
  put(fleet, '../away.json', policyOf(fleet, 'away'));
  writeFileSync(join(folder, 'policy.yaml'), 'nothing: right\n');
  const one = await command(['fleet', 'verify', join(folder, 'signed/body.json')]);
  t.match(one, { code: 0, stderr: '', stdout: /signed\/body.json/ });
  t.notMatch(one.stdout, /other.json|policy.yaml/);
  const away = join(folder, '..', 'away.json');
  t.match(await command(['fleet', 'verify', away]), {
    code: 2,
    stderr: /is in no fleet folder: name the folder/,
  });
  t.match(await command(['fleet', 'verify', away, '--fleet', folder]), {
    code: 0,
    stdout: /away.json +policy 1/,
  });
  t.match(await command(['fleet', 'verify', join(folder, 'policy.yaml')]), { code: 1, stderr: /nothing/ });
  t.match(await command(['fleet', 'verify', join(folder, 'gone')]), { code: 2, stderr: /there is no / });
  t.match(await command(['fleet', 'verify', folder, '--fleet', folder]), {
    code: 2,
    stderr: /goes with a file/,
  });
  const { stdout } = await command(['fleet', 'verify', folder, '--json']);
  t.match(JSON.parse(stdout), { ok: false, root: { version: 1, authority: fleet.authority } });
});
