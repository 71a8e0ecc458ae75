import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { noteApplied } from '../../../shared/audit/applied.ts';
import { AuditLog } from '../../../shared/audit/audit-log.ts';
import type { Entry } from '../../../shared/audit/core/entry.ts';
import { systemClock } from '../../../shared/clock.ts';
import { systemEntropy } from '../../../shared/entropy.ts';
import { createLogger } from '../../../shared/log.ts';
import { folderWith } from '../../cli/run.ts';

t.test('a start with another configuration is noted once; secrets do not count', async (t) => {
  const dataDir = folderWith(t, {});
  const lines: string[] = [];
  const log = createLogger({ level: 'debug', levels: {} }, { write: (line) => void lines.push(line) });
  const audit = new AuditLog({ dataDir, program: 'agent', clock: systemClock, entropy: systemEntropy });
  const start = async (sections: object): Promise<Entry[]> => {
    await noteApplied({ audit, dataDir, sections: { ...sections }, via: 'start', clock: systemClock, log });
    const entries: Entry[] = [];
    await audit.check(({ entry }) => entries.push(entry));
    return entries;
  };
  const first = { policy: { version: 1 }, broker: { port: 1 }, providers: [{ name: 'a', password: 'x' }] };
  t.strictSame(await start(first), [], 'the first start');
  t.strictSame(await start(first), [], 'the same again');
  t.strictSame(await start({ ...first, providers: [{ name: 'a', password: 'y' }] }), [], 'another password');
  const changed = { ...first, policy: { version: 2 }, admin: {} };
  const noted = [
    {
      action: 'config.applied',
      phase: 'noted',
      who: { via: 'start' },
      detail: {
        sections: /^(policy admin|admin policy)$/,
        policy: /^[0-9a-f]{16}$/,
        policyBefore: /^[0-9a-f]{16}$/,
      },
    },
  ];
  t.match(await start(changed), noted);
  t.equal((await start(changed)).length, 1);
  t.equal((await start(first)).length, 2);
  t.strictSame(lines, []);

  const broken = join(dataDir, 'audit');
  const kept = readFileSync(join(broken, 'applied.json'), 'utf8');
  rmSync(broken, { recursive: true });
  writeFileSync(broken, kept);
  await noteApplied({ audit, dataDir, sections: changed, via: 'start', clock: systemClock, log });
  t.match(lines.join(''), /"event":"audit.not_written","action":"config.applied"/, 'and the start goes on');
});
