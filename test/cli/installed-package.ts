/** An installed copy of the package: Node.js strips no types under node_modules, so it runs its bundle. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { folderWith, ROOT } from './run.ts';

export interface InstalledPackage {
  /** The folder that holds its node_modules. */
  top: string;
  bin: string;
  /** Where `build` puts the bundle. */
  dist: string;
  build(): void;
}

export function installedPackage(t: Test): InstalledPackage {
  const top = folderWith(t, {});
  const installed = join(top, 'node_modules', 'headgate');
  const dist = join(installed, 'dist');
  mkdirSync(installed, { recursive: true });
  cpSync(join(ROOT, 'bin'), join(installed, 'bin'), { recursive: true });
  cpSync(join(ROOT, 'package.json'), join(installed, 'package.json'));
  symlinkSync(join(ROOT, 'node_modules'), join(installed, 'node_modules'));
  return {
    top,
    bin: join(installed, 'bin', 'headgate.js'),
    dist,
    build: () => {
      execFileSync(process.execPath, [join(ROOT, 'build', 'bundle.ts'), '--out-dir', dist], { cwd: ROOT });
    },
  };
}
