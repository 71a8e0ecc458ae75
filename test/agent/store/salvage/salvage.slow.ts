/** The test of damaged files, with more of them. */
process.env['HEADGATE_CORRUPTIONS'] ??= '300';
await import('./salvage.test.ts');
