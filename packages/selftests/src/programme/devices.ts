// SPDX-License-Identifier: MIT
// The device key: who may touch device memory when, through kmap, dax and the pmem driver.

import { dax } from '@pkslab/dax';
import { PAGE_OFFSET } from '@pkslab/kernel';
import { kmap } from '@pkslab/kmap';
import { memremap } from '@pkslab/memremap';
import { INIT_PKRS_VALUE } from '@pkslab/pks-core';
import { IA32_PKRS, PAGE_SIZE } from '@pkslab/x86-cpu';
import { Output } from '../output.ts';
import type { Bench, SelfTest } from './bench.ts';
import { attachDevice, pattern, roundTrip, sameBytes } from './device-rig.ts';

const VECTOR = 0x20;

function strayStore(bench: Bench): void {
  const kernel = bench.boot();
  const { device } = attachDevice(kernel);
  const stray = (): boolean => kernel.call(() => !kernel.machine.tryStore32(device.address, 1));
  bench.check(!stray(), 'a stray store reached the device after attach');
  roundTrip(bench, kernel, device);
  bench.check(!stray(), 'a stray store reached the device after I/O');
}

function kmapSections(bench: Bench): void {
  const kernel = bench.boot();
  const { device } = attachDevice(kernel);
  const maps = kernel.module(kmap);
  const pfn = device.physical / PAGE_SIZE;
  const writable = (): boolean => !kernel.machine.tryStore32(PAGE_OFFSET + device.physical, 1);
  kernel.call(() => {
    maps.kmap(pfn);
    bench.check(writable(), 'a mapped page cannot be written');
    const inner = maps.kmapAtomic(pfn);
    maps.kunmapAtomic(inner);
    bench.check(writable(), 'the inner unmap took the outer map away');
    maps.kunmap(pfn);
    bench.check(!writable(), 'an unmapped page can be written');
  });
}

/** A section of the device with an interrupt at every operation, whose handler has one too. */
function sectionInterrupted(bench: Bench): void {
  const kernel = bench.boot();
  const { device } = attachDevice(kernel);
  const { access } = kernel.module(memremap);
  const writable = (): boolean => !kernel.machine.tryStore32(device.address, 1);
  const output = new Output(kernel);
  const check = (holds: boolean, problem: string): void => {
    if (!holds) output.write(problem);
  };
  const section = (who: string): void => {
    check(!writable(), `${who} can write before its section`);
    access.enable();
    check(writable(), `${who} cannot write in its section`);
    access.disable();
    check(!writable(), `${who} can write after its section`);
  };
  kernel.entry.requestIrq(VECTOR, () => section('the handler'));
  const run = (): void => {
    kernel.call(() => {
      section('the task');
      const count = access.ref.get(kernel.tasks.current);
      check(count === 0, `dev_page_access_ref is ${count} at the end`);
    });
    bench.problems.push(...new Set(output.lines));
  };
  bench.atEveryBoundary(kernel, (runner) => runner.interrupt(VECTOR), run);
}

/** The static branch goes off, or on, while a section is open: it must end as it began. */
function sectionOverBranch(bench: Bench): void {
  const kernel = bench.boot();
  const { access } = kernel.module(memremap);
  const { tasks, machine } = kernel;
  const expectClosed = (when: string): void => {
    const count = kernel.call(() => access.ref.get(tasks.current));
    bench.equal(`dev_page_access_ref after a section over ${when}`, count, 0);
    const register = kernel.call(() => machine.rdmsr(IA32_PKRS));
    bench.equal(`PKRS after a section over ${when}`, register, INIT_PKRS_VALUE);
  };
  kernel.call(() => access.enable());
  const { device } = attachDevice(kernel);
  kernel.call(() => access.disable());
  expectClosed('the first attach');
  kernel.call(() => access.enable());
  kernel.call(() => device.detach());
  kernel.call(() => access.disable());
  expectClosed('the last detach');
}

function driverInterrupted(bench: Bench): void {
  const kernel = bench.boot();
  const { device } = attachDevice(kernel);
  const data = pattern(64);
  const back = new Uint8Array(data.length);
  const run = (): void => {
    back.fill(0);
    bench.equal(
      'a write',
      kernel.call(() => device.write(0, data)),
      0,
    );
    bench.equal(
      'a read',
      kernel.call(() => device.read(0, back)),
      0,
    );
    bench.check(sameBytes(data, back), 'what was read is not what was written');
    const stray = kernel.call(() => !kernel.machine.tryStore32(device.address + PAGE_SIZE, 1));
    bench.check(!stray, 'a stray store reached the device after I/O');
  };
  bench.atEveryBoundary(kernel, (runner) => runner.interrupt(VECTOR), run);
}

function directAccess(bench: Bench): void {
  const kernel = bench.boot();
  const { device } = attachDevice(kernel);
  const core = kernel.module(dax);
  kernel.call(() => {
    const id = core.readLock();
    const found = core.directAccess(device.dax, 0, 1);
    bench.check(typeof found !== 'number', 'dax_direct_access failed');
    const refused = kernel.machine.tryStore32(device.address, 1);
    bench.check(!refused, 'dax_read_lock does not open the device');
    core.readUnlock(id);
    const stray = !kernel.machine.tryStore32(device.address, 1);
    bench.check(!stray, 'the device is open after dax_read_unlock');
  });
}

function fsdaxSupported(bench: Bench): void {
  const kernel = bench.boot();
  const { device } = attachDevice(kernel);
  const supported = kernel.call(() =>
    kernel.module(dax).genericFsdaxSupported(device.dax, PAGE_SIZE, 0, device.size),
  );
  bench.check(supported, 'generic_fsdax_supported says no');
}

function killWaits(bench: Bench): void {
  const kernel = bench.boot();
  const { device } = attachDevice(kernel);
  const core = kernel.module(dax);
  const output = new Output(kernel);
  kernel.spawn('reader', () => {
    const id = core.readLock();
    kernel.sched.schedule();
    output.write('reader');
    core.readUnlock(id);
  });
  kernel.spawn('killer', () => {
    core.killDax(device.dax);
    output.write('killer');
  });
  kernel.run();
  bench.equal('who is done first', output.lines.join(' '), 'reader killer');
}

function durable(bench: Bench): void {
  const kernel = bench.boot();
  const { device, media } = attachDevice(kernel);
  const data = pattern(200);
  kernel.call(() => device.write(0, data));
  kernel.call(() => device.flush());
  kernel.call(() => device.powerFail());
  const kept = new Uint8Array(data.length);
  media.read(0, kept);
  bench.check(sameBytes(data, kept), 'what was flushed is lost in a power failure');
}

function detachWaits(bench: Bench): void {
  const kernel = bench.boot();
  const { device } = attachDevice(kernel);
  const core = kernel.module(dax);
  const output = new Output(kernel);
  kernel.spawn('reader', () => {
    const id = core.readLock();
    kernel.sched.schedule();
    kernel.machine.load32(device.address);
    core.readUnlock(id);
    output.write('done');
  });
  kernel.spawn('unbind', () => device.detach());
  kernel.run();
  bench.equal('the reader is', output.lines.join(' '), 'done');
}

export const deviceTests: readonly SelfTest[] = [
  {
    name: 'stray-store',
    sentence: 'A store to a device that nobody was let into is refused, before and after I/O.',
    origin: 'ours',
    run: strayStore,
  },
  {
    name: 'kmap-sections',
    sentence: 'kmap opens the device until the outermost unmap, nested with kmap_atomic.',
    origin: 'ours',
    run: kmapSections,
  },
  {
    name: 'device-section-interrupted',
    sentence: 'A device section with an interrupt at every operation, whose handler has one too.',
    origin: 'ours',
    run: sectionInterrupted,
  },
  {
    name: 'section-over-attach',
    sentence:
      'A section that is open while the first device comes, or the last one goes, ends closed.',
    origin: 'ours',
    run: sectionOverBranch,
  },
  {
    name: 'pmem-interrupted',
    sentence: 'A write and a read through the driver with an interrupt at every operation.',
    origin: 'ours',
    run: driverInterrupted,
  },
  {
    name: 'dax-read-lock',
    sentence: 'dax_read_lock opens the device until the unlock.',
    origin: 'ours',
    run: directAccess,
  },
  {
    name: 'fsdax-supported',
    sentence: 'generic_fsdax_supported looks at the device under the lock.',
    origin: 'ours',
    run: fsdaxSupported,
  },
  {
    name: 'kill-dax-waits',
    sentence: 'kill_dax returns after everybody who held the lock has let go.',
    origin: 'ours',
    run: killWaits,
  },
  {
    name: 'flush-durable',
    sentence: 'What was written and flushed is on the media after a power failure.',
    origin: 'ours',
    run: durable,
  },
  {
    name: 'detach-waits',
    sentence: 'A device is unmapped after those who use it directly are done.',
    origin: 'ours',
    run: detachWaits,
  },
];
