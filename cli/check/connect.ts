/**
 * `config check --connect`: tries the connections of an agent.yaml or router.yaml like the program, one phase
 * after the other. Progress goes to stderr as each phase ends, the result to stdout.
 */
import { loadAgentConfig } from '../../agent/config/config.ts';
import { loadRouterConfig } from '../../router/config.ts';
import { systemClock as clock } from '../../shared/clock.ts';
import { openConfig, systemSources } from '../../shared/config/load.ts';
import { scrub } from '../../shared/config/redact.ts';
import {
  type CheckedEntry,
  type CheckedPart,
  type PassedPhase,
  type PhaseProblem,
  runPhases,
} from '../../shared/connect-check/phases.ts';
import { ProcessNames } from '../../shared/dns/process-names.ts';
import { systemEntropy as entropy } from '../../shared/entropy.ts';
import { EXIT, type ExitCode } from '../../shared/exit-codes.ts';
import { createLogger } from '../../shared/log.ts';
import { fail, printJson, printLine } from '../output.ts';
import { terminal } from '../terminal.ts';
import { agentParts } from './connect-agent.ts';
import { downlinkParts } from './connect-downlinks.ts';
import { routerParts } from './connect-router.ts';
import type { ConfigKind } from './finding.ts';

/** Names are looked up as the programs do. Exit code 1 when a phase failed. */
export async function connectAll(file: string, kind: ConfigKind, json: boolean): Promise<ExitCode> {
  if (kind === 'policy')
    return fail('--connect tries the connections of an agent.yaml or router.yaml', EXIT.usage);
  const opening = openConfig(file, systemSources);
  const parts = partsOf(file, kind);
  if (!opening.ok || parts === null) return fail('the file was changed during the check', EXIT.config);
  const { secrets } = opening.opened;
  const names = new ProcessNames({ clock, log: createLogger({ level: 'silent', levels: {} }) });
  await names.start();
  const results: CheckedEntry[] = [];
  try {
    // One after the other, so that they do not share a slow uplink.
    for (const part of parts)
      results.push(await runPhases(part, { clock, onPhase: tell, clean: (text) => scrub(text, secrets) }));
  } finally {
    await names.stop();
  }
  if (json) printJson(results);
  else for (const result of results) printLine(lineOf(result));
  return results.every(({ problem }) => problem === null) ? EXIT.ok : EXIT.failed;
}

function partsOf(file: string, kind: 'agent' | 'router'): CheckedPart[] | null {
  const deps = { clock, entropy };
  if (kind === 'agent') {
    const loaded = loadAgentConfig(file);
    if (!loaded.ok) return null;
    return [...agentParts(loaded.config, deps), ...downlinkParts(loaded.config, deps)];
  }
  const loaded = loadRouterConfig(file);
  return loaded.ok ? routerParts(loaded.config, deps) : null;
}

function tell(entry: string, ended: PassedPhase | PhaseProblem): void {
  const { phase } = ended;
  const text =
    'ms' in ended
      ? `${phase} ${ended.ms} ms${ended.note === null ? '' : ` (${ended.note})`}`
      : `${phase} failed: ${ended.message}`;
  terminal().stderr.write(`${entry}: ${text}\n`);
}

function lineOf({ entry, passed, problem }: CheckedEntry): string {
  const phases = passed.map(({ phase }) => phase);
  if (problem === null) {
    const note = passed.at(-1)?.note ?? null;
    return `${entry}: ${[...phases, 'ok'].join(', ')}${note === null ? '' : ` (${note})`}`;
  }
  const { phase, option, message, fix } = problem;
  return `${[`${entry}: ${[...phases, phase].join(', ')}: ${message}`, `  option: ${option}`, `  fix: ${fix}`].join('\n')}`;
}
