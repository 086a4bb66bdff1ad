// SPDX-License-Identifier: MIT
// What the posted programme promises and does not check of itself: its file, its errors, the keys it takes.

import {
  EFAULT,
  EINVAL,
  ENOMEM,
  ENOSPC,
  EOPNOTSUPP,
  type Kernel,
  type OpenFile,
} from '@pkslab/kernel';
import { PKEY_READ_WRITE, PKS_NUM_KEYS, pkrPair, pksCore, RUN_PKS } from '@pkslab/pks-core';
import type { Column, FieldDefinition } from '@pkslab/x86-cpu';
import type { Bench, SelfTest } from './bench.ts';
import { attachDevice, roundTrip } from './device-rig.ts';
import { bootAllocator, bootProgramme } from './programme-of.ts';

const KEYS_FILE = 'x86/pks_keys_allocated';
const KEYS_AT_BOOT = '0: kernel\n1: Device Memory\n';
/** A user buffer that nothing maps. */
const BAD_BUFFER = { address: 0x7000, length: 1 };

/** Reads again from the start. */
function reread(file: OpenFile): string {
  file.seek(0);
  return file.read();
}

function protocol(bench: Bench): void {
  const kernel = bootProgramme(bench, ['rfcV2', 'rfcV3']);
  kernel.call(() => {
    const file = kernel.debugfs.open(RUN_PKS);
    bench.equal('before any command', file.read(), 'not run\n');
    bench.equal('at the end of the file', file.read(), '');
    bench.equal('a write returns', file.write('x: anything'), 'x: anything'.length);
    bench.equal('after an unknown command', reread(file), 'FAIL\n');
    bench.equal('keys', kernel.debugfs.read(KEYS_FILE), `${KEYS_AT_BOOT}2: pks test\n`);
    file.write('0 and the rest of the line');
    bench.equal('after 0', reread(file), 'PASS\n');
    const other = kernel.debugfs.open(RUN_PKS);
    bench.equal('another open file', other.read(), 'not run\n');
    other.write('3');
    bench.equal('after 3 alone', reread(other), 'FAIL\n');
    other.release();
    file.release();
    bench.equal('keys at the end', kernel.debugfs.read(KEYS_FILE), KEYS_AT_BOOT);
  });
}

function errors(bench: Bench): void {
  const kernel = bootProgramme(bench, ['rfcV2', 'rfcV3']);
  const { keys } = kernel.module(pksCore);
  kernel.call(() => {
    const file = kernel.debugfs.open(RUN_PKS);
    bench.equal('a bad buffer', file.write(BAD_BUFFER), -EFAULT);
    bench.equal('a bad buffer leaves', reread(file), 'not run\n');
    for (let i = 0; i < PKS_NUM_KEYS; i++) keys.alloc('hog');
    bench.equal('no key left', file.write('0'), -ENOMEM);
    file.release();
  });
  const complaint = 'Failed to allocate memory for test context';
  bench.check(kernel.dmesg.includes(complaint), `the log has no "${complaint}"`);
}

function debugfsFiles(bench: Bench): void {
  const kernel = bootAllocator(bench);
  bench.equal('files', kernel.debugfs.list().join(' '), `${KEYS_FILE} ${RUN_PKS}`);
  bench.equal('mode of the key list', kernel.debugfs.mode(KEYS_FILE), 0o400);
  bench.equal('mode of run_pks', kernel.debugfs.mode(RUN_PKS), 0o600);
  bench.equal(
    KEYS_FILE,
    kernel.call(() => kernel.debugfs.read(KEYS_FILE)),
    KEYS_AT_BOOT,
  );
}

function keyAllocation(bench: Bench): void {
  const kernel = bootAllocator(bench);
  const { keys } = kernel.module(pksCore);
  kernel.call(() => {
    for (let key = 2; key < PKS_NUM_KEYS; key++) {
      bench.equal('next key', keys.alloc(`user ${key}`), key);
    }
    bench.equal('one too many', keys.alloc('late'), -ENOSPC);
    keys.free(7);
    bench.equal('the lowest free key', keys.alloc('again'), 7);
    bench.equal('and none after it', keys.alloc('late'), -ENOSPC);
  });
  const complaint = 'x86/pkeys: Cannot allocate supervisor key for late.';
  bench.equal('complaints', kernel.dmesg.filter((line) => line === complaint).length, 2);
}

const stageField: FieldDefinition = {
  name: 'programme.stage',
  type: 'u8',
  initial: 0,
  per: 'global',
};

/** A task leaves a key open, and its owner gives it back: nobody has it open when it is the next one's (I9, D-33). */
function freedKey(bench: Bench, linger: (kernel: Kernel, stage: Column) => void): void {
  const kernel = bootAllocator(bench, { cpus: 2 });
  const { keys, pkrs } = kernel.module(pksCore);
  const stage = kernel.machine.column(stageField);
  const key = kernel.call(() => keys.alloc('first'));
  const careless = (): void => {
    pkrs.updateProtection(key, PKEY_READ_WRITE);
    stage.set(0, 1);
    linger(kernel, stage);
  };
  kernel.spawnCode({ name: 'careless', calls: [careless], cpu: 1 });
  kernel.call(() => {
    stage.wait(0, 1);
    keys.free(key);
  });
  const copies = {
    saved: pkrs.saved,
    cache: pkrs.cache.column,
    PKRS: kernel.machine.registers.pkrs,
  };
  for (const [name, { values }] of Object.entries(copies)) {
    const open = [...values].findIndex((value) => pkrPair(value, key) === PKEY_READ_WRITE);
    bench.check(open < 0, `${name}[${open}] has key ${key} open though nobody owns it`);
  }
}

function withoutPks(bench: Bench): void {
  const kernel = bench.boot({ features: { pks: false } });
  const { keys } = kernel.module(pksCore);
  const files = kernel.debugfs.list().filter((path) => path.startsWith('x86/'));
  bench.equal('files', files.join(' '), '');
  const errno = kernel.choice('noPksErrno') === 'EINVAL' ? -EINVAL : -EOPNOTSUPP;
  bench.equal(
    'the key of a driver',
    kernel.call(() => keys.forConsumer('any', 'test')),
    errno,
  );
  const { device } = attachDevice(kernel);
  bench.equal('key of a device', device.pagemap.pkey, 0);
  roundTrip(bench, kernel, device);
}

export const protocolTests: readonly SelfTest[] = [
  {
    name: 'run_pks-protocol',
    sentence:
      'Texts, file positions and contexts of run_pks, and the keys that come and go with them.',
    origin: 'ours',
    run: protocol,
  },
  {
    name: 'run_pks-errors',
    sentence: 'A bad buffer is -EFAULT, a context without a key -ENOMEM with a line in the log.',
    origin: 'ours',
    run: errors,
  },
  {
    name: 'debugfs-files',
    sentence: 'Both files under x86, their modes, and the list of keys to the letter.',
    origin: 'ours',
    run: debugfsFiles,
  },
  {
    name: 'key-allocation',
    sentence: 'Keys are given lowest first; the sixteenth is -ENOSPC and named in the log.',
    origin: 'ours',
    run: keyAllocation,
  },
  {
    name: 'freed-key',
    sentence: 'A key that is given back is closed in every task and on every CPU.',
    origin: 'ours',
    run: (bench) => freedKey(bench, ({ sched }, stage) => sched.sleepUntil(stage, 0, 2)),
  },
  {
    name: 'freed-key-in-use',
    sentence: 'The same where a task has it open on another CPU, and goes on there.',
    origin: 'ours',
    run: (bench) => freedKey(bench, (_kernel, stage) => stage.wait(0, 2)),
  },
  {
    needs: [],
    name: 'without-pks',
    sentence: 'On a CPU without PKS there is no file and no key, and a device works unprotected.',
    origin: 'ours',
    run: withoutPks,
  },
];
