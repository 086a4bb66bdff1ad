// SPDX-License-Identifier: MIT
// Makes a clone ready to work in, with nothing but Node and npm: installs the pnpm that package.json
// pins, then the locked dependencies. Does nothing when nothing that it depends on has changed.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));

const tools = join(root, 'node_modules', '.tools');
const stamp = join(root, 'node_modules', '.pkslab-setup');
const windows = process.platform === 'win32';

/** The environment that every tool runs in: the pinned pnpm first, no telemetry, no update notices. */
const toolEnvironment = {
  ...process.env,
  PATH: [
    join(tools, 'node_modules', '.bin'),
    join(root, 'node_modules', '.bin'),
    process.env.PATH ?? '',
  ].join(delimiter),
  TURBO_TELEMETRY_DISABLED: '1',
  TURBO_NO_UPDATE_NOTIFIER: '1',
  DO_NOT_TRACK: '1',
  NO_UPDATE_NOTIFIER: '1',
};

/** Runs a command at the root and ends this process with its status if it fails. */
export function run(command, args, options) {
  const status = statusOf(command, args, options);
  if (status !== 0) process.exit(status);
}

/** Runs every command, also after one that failed, and then ends this process if one did. */
export function runAll(commands) {
  const failures = commands.filter(([command, args]) => statusOf(command, args) !== 0);
  for (const [command, args] of failures) say(`failed: ${command} ${args.join(' ')}`);
  if (failures.length > 0) process.exit(1);
}

function statusOf(command, args, { env = {}, stdout = 'inherit' } = {}) {
  const result = spawnSync(command, args, {
    cwd: root,
    env: { ...toolEnvironment, ...env },
    stdio: ['inherit', stdout, 'inherit'],
    shell: windows && command !== process.execPath,
  });
  if (result.error) fail(`cannot run ${command}: ${result.error.message}`);
  if (result.signal) fail(`${command} was ended by ${result.signal}`);
  return result.status ?? 1;
}

/** Installs what is missing. Its output goes to stderr, so that stdout stays the command's own. */
export function setup() {
  requireNode();
  const state = fingerprint();
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === state) return;
  const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  installPnpm(packageManager.split('+')[0]);
  say('installing the locked dependencies');
  // CI=true answers pnpm's questions; there may be no terminal to ask at.
  run('pnpm', ['install', '--frozen-lockfile', '--prefer-offline', '--reporter=append-only'], {
    env: { CI: 'true' },
    stdout: 2,
  });
  writeFileSync(stamp, state);
}

function installPnpm(spec) {
  const [, version] = spec.split('@');
  const manifest = join(tools, 'node_modules', 'pnpm', 'package.json');
  if (existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).version === version)
    return;
  say(`fetching ${spec}`);
  mkdirSync(tools, { recursive: true });
  const npmCli = process.env.npm_execpath;
  const [command, ...first] = npmCli?.endsWith('npm-cli.js') ? [process.execPath, npmCli] : ['npm'];
  const flags = ['--no-save', '--no-audit', '--no-fund', '--loglevel=error'];
  run(command, [...first, 'install', '--prefix', tools, ...flags, spec], { stdout: 2 });
}

/** Changes whenever an install could give another result. */
function fingerprint() {
  const hash = createHash('sha256').update(process.version);
  const packages = readdirSync(join(root, 'packages')).sort();
  const files = [
    'package.json',
    'pnpm-lock.yaml',
    'pnpm-workspace.yaml',
    ...packages.map((name) => `packages/${name}/package.json`),
  ];
  for (const file of files) {
    const path = join(root, file);
    if (existsSync(path)) hash.update(file).update(readFileSync(path));
  }
  return hash.digest('hex');
}

function requireNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  fail(`Node ${process.versions.node} is too old: pkslab needs 20.19 or newer`);
}

function say(text) {
  process.stderr.write(`setup: ${text}\n`);
}

function fail(text) {
  process.stderr.write(`setup: ${text}\n`);
  process.exit(1);
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) setup();
