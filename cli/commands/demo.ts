import type { Command } from 'commander';
import type { DemoFlags } from '../../demo/options.ts';
import { EXIT } from '../../shared/exit-codes.ts';
import { fail } from '../output.ts';
import { terminal } from '../terminal.ts';

export function addDemoCommand(program: Command): void {
  const collect = (value: string, all: string[] | undefined): string[] => [...(all ?? []), value];
  program
    .command('demo')
    .description(
      'Devices, a gateway, three loopback clouds and a router on this machine, with faults, and a verdict.',
    )
    .option(
      '--fault <provider:fault@start-end>',
      'a fault, in seconds from the first publish; repeatable (default: the cloud in use goes silent for the middle third)',
      collect,
    )
    .option('--no-fault', 'no fault at all')
    .option(
      '--kill <process@second>',
      'SIGKILL the agent or the router and start it again; repeatable',
      collect,
    )
    .option('--rate <per second>', 'publishes of all devices together', '500')
    .option('--devices <count>', 'MQTT clients', '20')
    .option('--duration <seconds>', 'how long the devices publish', '45')
    .option('--payload <bytes>', 'size of one payload', '120')
    .option('--seed <number>', 'seed of all random values', '1')
    .option('--keep <folder>', 'keep configurations, buffer, ledger and logs there')
    .option('--hold', 'keep running after the devices have finished, until SIGINT')
    .option('--json', 'print one JSON line at the end')
    .action(async (flags: DemoFlags) => {
      terminal().exitCode = await demo(flags);
    });
}

async function demo(flags: DemoFlags): Promise<number> {
  const { parseDemoFlags } = await import('../../demo/options.ts');
  const parsed = parseDemoFlags(flags);
  if (!parsed.ok) return fail(parsed.problems.join('\nheadgate: '), EXIT.usage);
  const { runDemo } = await import('../../demo/main.ts');
  return runDemo(parsed.options);
}
