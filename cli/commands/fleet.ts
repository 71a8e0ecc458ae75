import type { Command } from 'commander';
import { terminal } from '../terminal.ts';

export function addFleetCommand(program: Command): void {
  const fleet = program
    .command('fleet')
    .description('The keys and documents by which many gateways take a policy from one place.');
  fleet
    .command('init [folder]')
    .description(
      'Make a fleet: one key with all roles, and a folder (default: fleet) for policy, groups and gateways.',
    )
    .option('--name <name>', 'name of the fleet', 'fleet')
    .option('--keys <folder>', 'folder of the private key (default: <folder>.keys)')
    .option('--json', 'print the result as JSON')
    .action(async (folder: string | undefined, flags: { name: string; keys?: string; json?: boolean }) => {
      const { initFleet } = await import('../fleet/init.ts');
      terminal().exitCode = await initFleet(folder ?? 'fleet', flags);
    });
  fleet
    .command('verify <path>')
    .description(
      'Say who signed the documents of a fleet folder, or one file of it, and every mistake in it.',
    )
    .option('--root <sha256>', 'the digest that the first root must have')
    .option('--gateway <name>', 'also say what this gateway of the folder would accept now')
    .option('--fleet <folder>', 'for a file elsewhere: the fleet folder with the roots')
    .option('--json', 'print the result as JSON')
    .action(
      async (path: string, flags: { root?: string; gateway?: string; fleet?: string; json?: boolean }) => {
        const { verifyFleet } = await import('../fleet/verify.ts');
        terminal().exitCode = await verifyFleet(path, flags);
      },
    );
}
