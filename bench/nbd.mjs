// NBD through the whole protected path against `nbdkit memory`, both driven by fio in turn; and what protection
// costs a request, in process.
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
import { dax } from '@pkslab/dax';
import { boot } from '@pkslab/kernel';
import { kmap } from '@pkslab/kmap';
import { memremap } from '@pkslab/memremap';
import { pksCore } from '@pkslab/pks-core';
import { memoryMedia, NbdSession, pmem } from '@pkslab/pmem';
import { PmemExport } from '@pkslab/pmem/node';
import { median, row, timePair } from './measure.mjs';

const SIZE = 256 * 1024 * 1024;
const PAGE = 4096;
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
  const rows = [protectedRequests('read'), protectedRequests('write')];
  if (missing.length === 0) return [...(await againstNbdkit()), ...rows];
  const note = `not measured: no ${missing.join(' and no ')} (scripts/install-nbd-clients.sh)`;
  return [{ name: 'NBD / nbdkit memory', note }, ...rows];
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

// ---- protection on and off, without sockets ----

/** 4 KiB requests through session, bio, driver and, on one side, PKRS. */
function protectedRequests(operation) {
  const [on, off] = [true, false].map((pks) => requests(operation, pks));
  return row(`4 KiB NBD ${operation}, protection on / off`, timePair(on, off, 10_000, 61), 1.05);
}

function requests(operation, pks) {
  const kernel = boot({ modules: [pksCore, memremap, kmap, dax, pmem], features: { pks } });
  const media = memoryMedia(SIZE / 4);
  const device = kernel.call(() => kernel.module(pmem).attachDisk({ media }));
  const session = new NbdSession(new PmemExport({ kernel, device }), {
    send: (_bytes, sent) => sent(),
    resume: () => {},
  });
  session.pump();
  session.receive(hello());
  const head = Buffer.alloc(operation === 'write' ? 28 + PAGE : 28);
  head.writeUInt32BE(0x25609513);
  head.writeUInt16BE(operation === 'write' ? 1 : 0, 6);
  head.writeUInt32BE(PAGE, 24);
  const pages = SIZE / 4 / PAGE;
  let x = 2463534242;
  return (count) => {
    for (let i = 0; i < count; i++) {
      x ^= x << 13;
      x ^= x >>> 17;
      x ^= x << 5;
      head.writeUInt32BE(((x >>> 0) % pages) * PAGE, 20);
      session.receive(head);
    }
  };
}

/** The client's flags and NBD_OPT_GO for the default export. */
function hello() {
  const bytes = Buffer.alloc(4 + 16 + 6);
  bytes.writeUInt32BE(3);
  bytes.write('IHAVEOPT', 4);
  bytes.writeUInt32BE(7, 12);
  bytes.writeUInt32BE(6, 16);
  return bytes;
}
