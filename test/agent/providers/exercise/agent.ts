/** An agent that knows the sixth type: `node agent.ts <agent.yaml>`. */
import { runAgent } from '../../../../agent/agent.ts';
import { loadAgentConfig } from '../../../../agent/config/config.ts';
import { systemSources } from '../../../../shared/config/load.ts';
import { TYPES } from './types.ts';

const load = () => loadAgentConfig(process.argv[2] ?? '', systemSources, TYPES);
const loaded = load();
if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
process.exitCode = await runAgent(loaded.config, load);
