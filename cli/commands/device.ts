import type { Command } from 'commander';
import { EXIT } from '../../shared/exit-codes.ts';
import { fail, printJson, printLine } from '../output.ts';
import { terminal } from '../terminal.ts';

interface FileFlags {
  dataDir?: string;
  config?: string;
}

interface AddFlags extends FileFlags {
  group: string[];
  passwordStdin?: boolean;
  /** False for --no-password. */
  password: boolean;
}

type RuleFlags = FileFlags & { remove?: boolean };

const IMPORT_HELP = `
CSV: the first line names the columns, out of name, password and groups (separated by spaces).
  name,password,groups
  press-1,,"pumps line-2"
JSON: a list of objects with these keys; only name must be there.
  [{ "name": "press-1", "groups": ["pumps", "line-2"] }]
Without a password one is generated; they are printed as CSV, once.`;

const ALLOWS = ['publish', 'subscribe', 'both'] as const;
const RULE_ARGUMENTS = '<publish|subscribe|both> <filter>';

export function addDeviceCommand(program: Command): void {
  const device = program
    .command('device')
    .description(
      'Manage the devices that may connect to an agent, and their rules. A running agent applies the changes.',
    );
  command(device, 'add <name>', 'Add a device. Prints a generated password, once, unless one is given.')
    .option('--group <group>', 'a group of the device; repeatable', collect, [])
    .option('--password-stdin', 'read the password from stdin, its first line')
    .option('--no-password', 'for a device that logs in with a certificate only')
    .action(run(async (name: string, flags: AddFlags) => add(name, flags)));
  command(device, 'ls', 'List the devices.')
    .option('--json', 'print them as JSON, without password hashes')
    .action(run(async (flags: FileFlags & { json?: boolean }) => list(flags)));
  command(device, 'rm <name>', 'Remove a device; its connections end.').action(
    run(async (name: string, flags: FileFlags) => {
      const { editDevices, removeDevice } = await import('../devices.ts');
      return editDevices(flags, { action: 'device.rm', target: name }, removeDevice(name));
    }),
  );
  command(device, 'passwd <name>', 'Give a device a new password; its connections end.')
    .option('--password-stdin', 'read the password from stdin, its first line')
    .action(run(async (name: string, flags: AddFlags) => passwd(name, flags)));
  for (const [verb, disabled] of [
    ['disable', true],
    ['enable', false],
  ] as const) {
    const effect = disabled ? 'Refuse a device, and end its connections.' : 'Take a device again.';
    command(device, `${verb} <name>`, effect).action(
      run(async (name: string, flags: FileFlags) => {
        const { changeDevice, editDevices } = await import('../devices.ts');
        return editDevices(
          flags,
          { action: `device.${verb}`, target: name },
          changeDevice(name, (known) => ({ ...known, disabled })),
        );
      }),
    );
  }
  command(device, 'groups <name> [group...]', 'Put a device in these groups and no others.').action(
    run(async (name: string, groups: string[], flags: FileFlags) => {
      const { changeDevice, editDevices } = await import('../devices.ts');
      return editDevices(
        flags,
        { action: 'device.groups', target: name, detail: { groups: groups.join(' ') } },
        changeDevice(name, (known) => ({ ...known, groups: [...new Set(groups)] })),
      );
    }),
  );
  command(
    device,
    `allow <name> ${RULE_ARGUMENTS}`,
    'Allow a device topics; %u is its name, %c its client id.',
  )
    .option('--remove', 'take the rule away')
    .action(
      run(async (name: string, allow: string, topic: string, flags: RuleFlags) => {
        const wanted = toAllow(allow);
        if (wanted === undefined) return unknownAllow(allow);
        const { changeDevice, editDevices, withRule } = await import('../devices.ts');
        const change = withRule({ allow: wanted, topic }, flags.remove ?? false);
        return editDevices(
          flags,
          { action: 'device.allow', target: name, detail: ruleFacts(wanted, topic, flags) },
          changeDevice(name, (known) => ({ ...known, rules: change(known.rules) })),
        );
      }),
    );
  command(device, 'import <file>', 'Add the devices of a .json or .csv file, all or none.')
    .addHelpText('after', IMPORT_HELP)
    .action(run(async (file: string, flags: FileFlags) => importDevices(file, flags)));
  addGroupCommands(device.command('group').description('Groups of devices with rules in common.'));
}

function addGroupCommands(group: Command): void {
  command(group, 'add <group>', 'Add a group.').action(
    run(async (name: string, flags: FileFlags) => {
      const { addGroup, editDevices } = await import('../devices.ts');
      return editDevices(flags, { action: 'device.group.add', target: name }, addGroup(name));
    }),
  );
  command(group, `allow <group> ${RULE_ARGUMENTS}`, 'Allow the devices of a group topics.')
    .option('--remove', 'take the rule away')
    .action(
      run(async (name: string, allow: string, topic: string, flags: RuleFlags) => {
        const wanted = toAllow(allow);
        if (wanted === undefined) return unknownAllow(allow);
        const { changeGroupRules, editDevices, withRule } = await import('../devices.ts');
        const change = withRule({ allow: wanted, topic }, flags.remove ?? false);
        return editDevices(
          flags,
          { action: 'device.group.allow', target: name, detail: ruleFacts(wanted, topic, flags) },
          changeGroupRules(name, change),
        );
      }),
    );
  command(group, 'ls', 'List the groups and their rules.')
    .option('--json', 'print them as JSON')
    .action(run(async (flags: FileFlags & { json?: boolean }) => listGroups(flags)));
  command(group, 'rm <group>', 'Remove a group that no device is in.').action(
    run(async (name: string, flags: FileFlags) => {
      const { editDevices, removeGroup } = await import('../devices.ts');
      return editDevices(flags, { action: 'device.group.rm', target: name }, removeGroup(name));
    }),
  );
}

async function add(name: string, flags: AddFlags): Promise<number> {
  const { addDevices, credential, editDevices, newDevice } = await import('../devices.ts');
  const named = {
    action: 'device.add',
    target: name,
    detail: { groups: flags.group.join(' '), password: passwordKind(flags) },
  };
  if (!flags.password) return editDevices(flags, named, addDevices([newDevice(name, null, flags.group)]));
  const made = await credential(flags.passwordStdin ? await firstLine() : null);
  if (typeof made === 'string') return fail(made, EXIT.usage);
  const code = await editDevices(flags, named, addDevices([newDevice(name, made.hash, flags.group)]));
  if (code === EXIT.ok && !flags.passwordStdin) printLine(made.password);
  return code;
}

/** For the audit log, which holds no password. */
function passwordKind({ password, passwordStdin }: AddFlags): string {
  if (password === false) return 'none';
  return passwordStdin ? 'given' : 'generated';
}

/** For the audit log. */
function ruleFacts(allow: string, topic: string, { remove }: RuleFlags): Record<string, string | boolean> {
  return { allow, topic, removed: remove ?? false };
}

async function passwd(name: string, flags: AddFlags): Promise<number> {
  const { changeDevice, credential, editDevices } = await import('../devices.ts');
  const made = await credential(flags.passwordStdin ? await firstLine() : null);
  if (typeof made === 'string') return fail(made, EXIT.usage);
  const code = await editDevices(
    flags,
    { action: 'device.passwd', target: name, detail: { password: passwordKind(flags) } },
    changeDevice(name, (known) => ({ ...known, password: made.hash })),
  );
  if (code === EXIT.ok && !flags.passwordStdin) printLine(made.password);
  return code;
}

/** Prints generated passwords once, as CSV. */
async function importDevices(file: string, flags: FileFlags): Promise<number> {
  const { addDevices, credential, editDevices, newDevice } = await import('../devices.ts');
  const { readImport } = await import('../device-import.ts');
  const { withProgress } = await import('../progress.ts');
  const read = await withProgress(`importing the devices of ${file}`, { json: false }, async (report) => {
    const rows = await readImport(file);
    if (typeof rows === 'string') return rows;
    const devices: ReturnType<typeof newDevice>[] = [];
    const generated: string[] = [];
    for (const { name, password, groups } of rows) {
      const made = await credential(password ?? null);
      if (typeof made === 'string') return `${file}: device "${name}": ${made}`;
      devices.push(newDevice(name, made.hash, groups));
      if (password === undefined) generated.push(`${name},${made.password}`);
      report(`${devices.length} of ${rows.length} devices`);
    }
    return { devices, generated };
  });
  if (typeof read === 'string') return fail(read, EXIT.failed);
  const { devices, generated } = read;
  const names = devices.map(({ name }) => name).join(' ');
  const detail = { devices: devices.length, generated: generated.length, names };
  const code = await editDevices(
    flags,
    { action: 'device.import', target: null, detail },
    addDevices(devices),
  );
  if (code === EXIT.ok && generated.length > 0) printLine(['name,password', ...generated].join('\n'));
  return code;
}

async function list({ json = false, ...flags }: FileFlags & { json?: boolean }): Promise<number> {
  const { readDevices } = await import('../devices.ts');
  const content = await readDevices(flags);
  if (typeof content === 'number') return content;
  if (json) {
    printJson(
      content.devices.map(({ password, ...device }) => ({ ...device, hasPassword: password !== undefined })),
    );
  } else {
    const { renderDevices } = await import('../render/devices.ts');
    printLine(renderDevices(content));
  }
  return EXIT.ok;
}

async function listGroups({ json = false, ...flags }: FileFlags & { json?: boolean }): Promise<number> {
  const { readDevices } = await import('../devices.ts');
  const content = await readDevices(flags);
  if (typeof content === 'number') return content;
  if (json) printJson(content.groups);
  else {
    const { renderGroups } = await import('../render/devices.ts');
    printLine(renderGroups(content));
  }
  return EXIT.ok;
}

/** A subcommand with the flags for the place of the device file. */
function command(parent: Command, name: string, description: string): Command {
  return parent
    .command(name)
    .description(description)
    .option('--data-dir <folder>', 'the data_dir of the agent')
    .option('--config <file>', 'its agent.yaml, in place of --data-dir');
}

/** Commander passes the arguments, then the flags, then the command. */
function run<T extends unknown[]>(action: (...args: T) => Promise<number>): (...args: T) => Promise<void> {
  return async (...args) => {
    terminal().exitCode = await action(...args);
  };
}

/** The first line of stdin; a password on the command line would be visible to every user of the machine. */
async function firstLine(): Promise<string> {
  let text = '';
  for await (const chunk of terminal().stdin.setEncoding('utf8')) text += String(chunk);
  return text.split(/\r?\n/)[0] ?? '';
}

function collect(value: string, all: string[]): string[] {
  return [...all, value];
}

function toAllow(text: string): (typeof ALLOWS)[number] | undefined {
  return ALLOWS.find((allow) => allow === text);
}

function unknownAllow(text: string): number {
  return fail(`"${text}": expected one of ${ALLOWS.join(', ')}`, EXIT.usage);
}
