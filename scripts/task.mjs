// SPDX-License-Identifier: MIT
// The scripts of the root package.json: each makes the clone ready, then does its work.
// Usage: node scripts/task.mjs <task> [arguments]

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { root, run, runAll, setup } from './setup.mjs';

const node = process.execPath;

const tasks = {
  start(args) {
    turbo(['build', '--filter=pkslab', '--output-logs=errors-only'], { stdout: 2 });
    run(node, [join(root, 'packages', 'cli', 'bin', 'pkslab.mjs'), 'demo', ...args]);
  },
  build: (args) => turbo(['build', ...args]),
  typecheck: (args) => turbo(['typecheck', ...args]),
  'pack:check': (args) => turbo(['pack:check', ...args]),
  test: (args) => turbo(['test', '//#test:scripts', ...args]),
  'test:long': (args) => turbo(['test', ...args], { env: { PKSLAB_LONG: '1' } }),
  lint() {
    // The layer check and the dead-code check follow imports into the built packages.
    turbo(['build', '--output-logs=errors-only']);
    const checks = ['format', 'layers', 'rules', 'tidy', 'dead'];
    runAll(checks.map((check) => ['pnpm', ['--silent', 'run', `lint:${check}`]]));
  },
  bench(args) {
    const script = join(root, 'bench', 'run.mjs');
    if (!existsSync(script)) {
      process.stderr.write('bench: there is no bench/run.mjs yet\n');
      return;
    }
    turbo(['build', '--output-logs=errors-only'], { stdout: 2 });
    run(node, ['--expose-gc', script, ...args]);
  },
  release(args) {
    turbo(['build', 'test', 'pack:check']);
    run('changeset', ['publish', ...args]);
  },
};

/** @param {string[]} args */
function turbo(args, options = {}) {
  run('turbo', ['run', '--no-update-notifier', ...args], options);
}

const [name = '', ...args] = process.argv.slice(2);
const task = Object.hasOwn(tasks, name) ? tasks[name] : undefined;
if (!task) {
  process.stderr.write(`task: no task ${name}; there are: ${Object.keys(tasks).join(', ')}\n`);
  process.exit(2);
}
setup();
task(args);
