import { configDefaults, defineConfig, type ViteUserConfig } from 'vitest/config';

const long = process.env['PKSLAB_LONG'] === '1';
const unitOnly = process.env['PKSLAB_UNIT'] === '1';

/**
 * What every package's vitest.config.ts is.
 *
 * - `*.test.ts` runs always;
 * - `*.slow.test.ts` runs too, except with PKSLAB_UNIT=1 (the runs on further versions of Node);
 * - `*.long.test.ts` runs only with PKSLAB_LONG=1 (`npm run test:long`).
 *
 * The JSON report is what `.ci/run` counts the tests from.
 */
export function packageConfig(): ViteUserConfig {
  return defineConfig({
    test: {
      include: ['test/**/*.test.{ts,mjs}'],
      exclude: [
        ...configDefaults.exclude,
        ...(long ? [] : ['**/*.long.test.*']),
        ...(unitOnly ? ['**/*.slow.test.*'] : []),
      ],
      // Ends a test that hangs; one on a busy machine is only slow.
      testTimeout: long ? 1_200_000 : 600_000,
      passWithNoTests: true,
      // All cores: the packages' own runs follow each other where one needs the other's build.
      maxWorkers: '100%',
      // The built packages as Node loads them: rewritten imports are slower, to load and to run.
      server: { deps: { external: [/\/packages\/[^/]+\/dist\//] } },
      restoreMocks: true,
      reporters: ['default', ['json', { outputFile: '.reports/tests.json' }]],
    },
  });
}
