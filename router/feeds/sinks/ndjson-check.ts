/** `config check --connect` of a file of JSON lines: whether this user could append. Nothing is created. */
import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type ConnectCheck, PhaseFailure } from '../../../shared/connect-check/phases.ts';
import { errorText } from '../../../shared/log.ts';
import type { NdjsonFeedOptions } from './ndjson.ts';

export function ndjsonConnectCheck({ file }: NdjsonFeedOptions): ConnectCheck {
  const run = async (): Promise<string | null> => {
    if (file === '-') return 'stdout';
    try {
      const isThere = await stat(file).then(
        () => true,
        (error: unknown) => {
          if (Reflect.get(Object(error), 'code') === 'ENOENT') return false;
          throw error;
        },
      );
      await access(isThere ? file : dirname(file), constants.W_OK);
      return isThere ? 'the file may be appended to' : 'the file may be created';
    } catch (error) {
      const fix = 'make the folder, and let the user of the router write there';
      throw new PhaseFailure(errorText(error), { fix });
    }
  };
  return { phases: [{ name: 'write', option: 'file', run }], close: () => Promise.resolve() };
}
