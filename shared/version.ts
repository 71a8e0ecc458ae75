/** The version in package.json: the same for the sources and for the bundle in dist/. */
import { readFileSync } from 'node:fs';
import { packageFile } from './program.ts';

/** For example `0.1.0`. Throws when package.json is missing. */
export function packageVersion(): string {
  const parsed: unknown = JSON.parse(readFileSync(packageFile(), 'utf8'));
  if (typeof parsed === 'object' && parsed !== null && 'version' in parsed) return String(parsed.version);
  throw new Error('package.json has no version');
}
