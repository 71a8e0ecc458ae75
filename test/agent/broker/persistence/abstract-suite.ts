/**
 * aedes-persistence's own suite for implementations, on our sessions above a real store. Run by
 * suite.test.ts.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { bufferFile, storeOn } from '../../store/fixture.ts';
import { sessionsOn } from '../fixture.ts';

const abstractSuite = createRequire(import.meta.url)('aedes-persistence/abstract.js');
const directory = mkdtempSync(join(tmpdir(), 'headgate-sessions-'));
const { store } = storeOn(bufferFile(directory));
await store.start();
after(async () => {
  await store.stop();
  rmSync(directory, { recursive: true });
});
abstractSuite({ test, persistence: () => sessionsOn(store), testAsync: true });
