import { defineConfig } from 'tsup';

// JavaScript only. Types come from `tsc`, which is the one thing that must agree with the editor;
// tsup's own d.ts bundler does not run with TypeScript 6.
export default defineConfig({
  entry: {
    index: 'src/index.ts',
    main: 'src/main.ts',
    'search-thread': 'src/explore/thread.ts',
    verify: 'src/demo/verify.ts',
  },
  format: ['esm'],
  target: 'node20',
  platform: 'node',
  sourcemap: true,
  clean: true,
  dts: false,
  removeNodeProtocol: false,
});
