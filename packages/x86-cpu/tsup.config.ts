import { defineConfig } from 'tsup';

// JavaScript only. Types come from `tsc`, which is the one thing that must agree with the editor;
// tsup's own d.ts bundler does not run with TypeScript 6.
export default defineConfig({
  entry: { index: 'src/index.ts', 'node/index': 'src/node/index.ts' },
  format: ['esm'],
  target: 'node20',
  platform: 'neutral',
  // Only src/node may import these; tsconfig.build.json, which knows no Node, keeps the rest free of them.
  external: [/^node:/],
  sourcemap: true,
  clean: true,
  dts: false,
  removeNodeProtocol: false,
});
