import type { Command } from 'commander';
import type { KeyFlags } from '../keys.ts';
import { terminal } from '../terminal.ts';

export function addKeysCommand(program: Command): void {
  const keys = program
    .command('keys')
    .description(
      'Manage the keys that sign: a gateway’s its envelopes, a router’s its receipts; and those that open seals.',
    );
  command(keys, 'new', 'Make a key. An agent or a router signs with it from its next start.').action(
    run(async (flags: KeyFlags) =>
      flags.seal
        ? (await import('../seal-keys.ts')).newSealKeyFile(flags)
        : (await import('../keys.ts')).newKey(flags),
    ),
  );
  command(keys, 'ls', 'List the keys, the one that signs first.').action(
    run(async (flags: KeyFlags) =>
      flags.seal
        ? (await import('../seal-keys.ts')).listSealKeys(flags)
        : (await import('../keys.ts')).listKeys(flags),
    ),
  );
  command(keys, 'show [id]', 'Show a public key; without an id, of the key that signs.').action(
    run(async (id: string | undefined, flags: KeyFlags) =>
      flags.seal
        ? (await import('../seal-keys.ts')).showSealKey(flags, id)
        : (await import('../keys.ts')).showKey(flags, id),
    ),
  );
  command(
    keys,
    'export',
    'Print the public keys: of a gateway for the routers’ gateways_file, of a router for the agents’ router_keys_file.',
  )
    .option('--gateway <name>', 'with --data-dir: the folder is of the gateway of this name')
    .option('--router', 'with --data-dir: the folder is of a router')
    .action(
      run(async (flags: KeyFlags) =>
        flags.seal
          ? (await import('../seal-keys.ts')).exportSealKey(flags)
          : (await import('../keys.ts')).exportKeys(flags),
      ),
    );
  command(keys, 'rm <id>', 'Remove a key that no longer signs.').action(
    run(async (id: string, flags: KeyFlags) =>
      flags.seal
        ? (await import('../seal-keys.ts')).dropSealKey(flags, id)
        : (await import('../keys.ts')).dropKey(flags, id),
    ),
  );
}

/** A subcommand with the flags for the place of the keys. */
function command(parent: Command, name: string, description: string): Command {
  return parent
    .command(name)
    .description(description)
    .option('--data-dir <folder>', 'the data_dir of an agent or a router')
    .option('--config <file>', 'its agent.yaml or router.yaml, in place of --data-dir')
    .option('--seal', 'the keys of a router that open sealed envelopes')
    .option('--json', 'print the result as JSON');
}

/** Commander passes the arguments, then the flags, then the command. */
function run<T extends unknown[]>(action: (...args: T) => Promise<number>): (...args: T) => Promise<void> {
  return async (...args) => {
    terminal().exitCode = await action(...args);
  };
}
