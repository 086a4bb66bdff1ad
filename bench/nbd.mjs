// NBD through the whole protected path against `nbdkit memory`, both driven by fio in turn.
//
// Rows against nbdkit compare requests a second, ours / theirs: higher is better (`atLeast`), and `a` and `b` are
// the nanoseconds between two requests of each side.

import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { median } from './measure.mjs';

const SIZE = 256 * 1024 * 1024;
const ROUNDS = 5;
const SECONDS = 1;

/** Name, what fio does, and the least ratio. */
const WORKLOADS = [
  ['random 4 KiB reads, depth 32', { rw: 'randread', bs: '4k', iodepth: 32 }, 1],
  ['random 4 KiB writes, depth 32', { rw: 'randwrite', bs: '4k', iodepth: 32 }, 1],
  ['random 4 KiB reads, depth 1', { rw: 'randread', bs: '4k', iodepth: 1 }, 0.4],
  ['random 4 KiB writes, depth 1', { rw: 'randwrite', bs: '4k', iodepth: 1 }, 0.4],
  ['sequential 128 KiB reads, depth 8', { rw: 'read', bs: '128k', iodepth: 8 }, 0.4],
  ['sequential 128 KiB writes, depth 8', { rw: 'write', bs: '128k', iodepth: 8 }, 0.4],
];

const has = (program) => spawnSync(program, ['--version'], { stdio: 'ignore' }).error === undefined;

/** Rows of the NBD benchmarks. */
export async function nbdBenchmarks() {
  const missing = ['fio', 'nbdkit'].filter((program) => !has(program));
  if (missing.length === 0) return againstNbdkit();
  const note = `not measured: no ${missing.join(' and no ')} (scripts/install-nbd-clients.sh)`;
  return [{ name: 'NBD / nbdkit memory', note }];
}

// ---- against nbdkit ----

async function againstNbdkit() {
  const folder = mkdtempSync(join(tmpdir(), 'pkslab-bench-'));
  const [ours, theirs] = [join(folder, 'ours'), join(folder, 'theirs')];
  const script = fileURLToPath(new URL('./nbd-server.mjs', import.meta.url));
  const stdio = ['pipe', 2, 2];
  const servers = [
    spawn(process.execPath, [script, ours, String(SIZE)], { stdio }),
    spawn('nbdkit', ['-f', '--exit-with-parent', '-U', theirs, 'memory', String(SIZE)], { stdio }),
  ];
  try {
    await Promise.all([ours, theirs].map(listening));
    // Every page once, so that neither side takes memory while it is measured.
    for (const socket of [ours, theirs]) fio(socket, { rw: 'write', bs: '128k', iodepth: 8 }, 4);
    return WORKLOADS.map(([name, job, least]) => compare(name, job, least, ours, theirs));
  } finally {
    for (const server of servers) server.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function listening(path) {
  for (let i = 0; i < 200; i++) {
    const open = await new Promise((resolve) => {
      const socket = connect(path);
      socket.on('connect', () => socket.destroy() && resolve(true));
      socket.on('error', () => resolve(false));
    });
    if (open) return;
    await sleep(50);
  }
  throw new Error(`nobody listens on ${path}`);
}

function compare(name, job, least, ours, theirs) {
  const samples = [];
  for (let round = 0; round < ROUNDS; round++) {
    // The order changes, as in timePair.
    const first = round % 2 === 0 ? fio(ours, job) : 0;
    const b = fio(theirs, job);
    samples.push({ a: first || fio(ours, job), b });
  }
  const ratio = median(samples.map(({ a, b }) => a / b));
  return {
    name: `NBD requests a second, ${name}, ours / nbdkit memory`,
    a: 1e9 / median(samples.map(({ a }) => a)),
    b: 1e9 / median(samples.map(({ b }) => b)),
    ratio,
    limit: least,
    atLeast: true,
    ok: ratio >= least,
  };
}

/** Requests a second. */
function fio(socket, { rw, bs, iodepth }, seconds = SECONDS) {
  const { stdout, stderr } = spawnSync(
    'fio',
    [
      '--name=bench',
      '--ioengine=nbd',
      `--uri=nbd+unix:///?socket=${socket}`,
      `--rw=${rw}`,
      `--bs=${bs}`,
      `--iodepth=${iodepth}`,
      `--size=${SIZE}`,
      `--runtime=${seconds}`,
      '--time_based',
      '--output-format=json',
    ],
    { encoding: 'utf8', maxBuffer: 2 ** 26, cwd: tmpdir() },
  );
  const start = stdout.indexOf('{');
  if (start < 0) throw new Error(`fio: ${stderr}`);
  const [job] = JSON.parse(stdout.slice(start)).jobs;
  return job.read.iops + job.write.iops;
}
