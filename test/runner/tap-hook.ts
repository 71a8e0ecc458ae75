/** Loaded before a test file: `import t from 'tap'` takes the bundle of the runner (tap-bundle.ts). */
import { registerHooks } from 'node:module';
import { pathToFileURL } from 'node:url';

const bundle = process.env['HEADGATE_TAP'];
if (bundle !== undefined) {
  const url = pathToFileURL(bundle).href;
  registerHooks({
    resolve: (specifier, context, next) =>
      specifier === 'tap' ? { url, format: 'module', shortCircuit: true } : next(specifier, context),
  });
}
