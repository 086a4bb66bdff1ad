// SPDX-License-Identifier: MIT
import { EINVAL, EIO } from '@pkslab/kernel';
import { describe, expect, it } from 'vitest';
import { Fsdax, flatExtents, IovIter } from '../src/index.ts';
import { locked, type Rig, ramPage, rig } from './support.ts';

function file(it: Rig) {
  return flatExtents(it.device, [
    { offset: 0, length: 8192, address: 40960 },
    { offset: 8192, length: 8192, address: 4096 },
    { offset: 24576, length: 4096, address: 0, unwritten: true },
  ]);
}

const pattern = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 7 + 1) & 0xff);

describe('dax_iomap_rw', () => {
  it('writes over extents and pages, and reads the same back', () => {
    const it = rig();
    const fs = new Fsdax(it.kernel);
    const data = pattern(9000);
    const back = new Uint8Array(9000);
    it.kernel.call(() => {
      expect(fs.iomapRw(file(it), 3000, IovIter.user(data), true)).toBe(9000);
      expect(fs.iomapRw(file(it), 3000, IovIter.user(back), false)).toBe(9000);
    });
    expect(back).toEqual(data);
    const second = locked(it, () => it.kernel.machine.load8(it.pagemap.address + 4096));
    expect(second).toBe(data[8192 - 3000]);
  });

  it('reads holes and unwritten extents as zero', () => {
    const it = rig();
    const fs = new Fsdax(it.kernel);
    const back = new Uint8Array(12288).fill(0xff);
    const read = it.kernel.call(() => fs.iomapRw(file(it), 16384, IovIter.user(back), false));
    expect(read).toBe(12288);
    expect(back.every((byte) => byte === 0)).toBe(true);
  });

  it('writes nothing where nothing is mapped', () => {
    const it = rig();
    const fs = new Fsdax(it.kernel);
    const data = pattern(4096);
    expect(it.kernel.call(() => fs.iomapRw(file(it), 16384, IovIter.user(data), true))).toBe(-EIO);
    const short = it.kernel.call(() => fs.iomapRw(file(it), 14336, IovIter.user(data), true));
    expect(short).toBe(2048);
  });

  it('leaves access closed behind it, also after an error', () => {
    const it = rig({}, 10);
    const fs = new Fsdax(it.kernel);
    const data = pattern(64);
    expect(it.kernel.call(() => fs.iomapRw(file(it), 0, IovIter.user(data), true))).toBe(-EIO);
    expect(it.kernel.call(() => it.kernel.machine.tryStore32(it.pagemap.address, 1))).toBe(true);
  });
});

describe('dax_iomap_zero', () => {
  it.each([
    ['part of a page', 100, 50],
    ['a whole page', 4096, 4096],
  ])('zeroes %s and no byte beside it', (_what, position, size) => {
    const it = rig();
    const fs = new Fsdax(it.kernel);
    const before = new Uint8Array(8192).fill(0xee);
    const after = new Uint8Array(8192);
    it.kernel.call(() => {
      fs.iomapRw(file(it), 0, IovIter.user(before), true);
      const iomap = file(it).begin(0, 8192);
      if (typeof iomap !== 'number') expect(fs.iomapZero(iomap, position, size)).toBe(0);
      fs.iomapRw(file(it), 0, IovIter.user(after), false);
    });
    const expected = before.fill(0, position, position + size);
    expect(after).toEqual(expected);
  });
});

describe('faults', () => {
  it('map the page of the device for a shared mapping', () => {
    const it = rig();
    const fault = it.kernel.call(() => new Fsdax(it.kernel).iomapFault(file(it), 8200, null));
    expect(fault).toEqual({ pfn: 0x100001, from: 'device' });
  });

  it('map the zero page for a hole', () => {
    const it = rig();
    const fault = it.kernel.call(() => new Fsdax(it.kernel).iomapFault(file(it), 16384, null));
    expect(fault).toEqual({ pfn: it.core.zeroPfn, from: 'zero' });
  });

  it('copy the page for a private write (copy_cow_page_dax, patch 10)', () => {
    const it = rig();
    const fs = new Fsdax(it.kernel);
    const copy = ramPage(it.kernel);
    const data = pattern(4096);
    const back = new Uint8Array(4096);
    it.kernel.call(() => {
      fs.iomapRw(file(it), 4096, IovIter.user(data), true);
      expect(fs.iomapFault(file(it), 5000, copy)).toEqual({ pfn: copy, from: 'copy' });
      it.kernel.machine.copyOut(it.kernel.mm.directAddress(copy * 4096), back, 0, 4096);
    });
    expect(back).toEqual(data);
    expect(it.kernel.call(() => fs.copyCowPage(it.device, 100, copy))).toBe(-EINVAL);
  });

  it('map a larger leaf only where it fits', () => {
    const it = rig();
    const fs = new Fsdax(it.kernel);
    const whole = flatExtents(it.device, [{ offset: 0, length: 1024 * 4096, address: 0 }]);
    const iomap = whole.begin(0, 1);
    if (typeof iomap === 'number') throw new Error('no iomap');
    expect(it.kernel.call(() => fs.iomapPfn(iomap, 0, 2 ** 21))).toBe(0x100000);
    expect(it.kernel.call(() => fs.iomapPfn(iomap, 4096, 2 ** 21))).toBe(-EINVAL);
    expect(it.kernel.call(() => fs.iomapPfn(iomap, 2 ** 21 + 4096, 2 ** 21))).toBe(-EINVAL);
  });
});

describe('dax_writeback_one (D-25)', () => {
  function writeBack(it: Rig): string {
    const fs = new Fsdax(it.kernel);
    const { machine } = it.kernel;
    locked(it, () => machine.store32(it.pagemap.address, 5));
    it.kernel.spawn('flusher', () => {
      fs.writebackOne(it.device, it.pagemap.address, 1);
      machine.sfence();
    });
    it.kernel.run();
    return it.kernel.dmesg.join('\n');
  }

  it('is refused in RFC V2: CLWB is a read, and nothing opened access', () => {
    const it = rig({ revision: 'rfc-v2', repairs: ['D-01'] });
    expect(writeBack(it)).toContain('supervisor read access in kernel mode');
    expect(it.written).toEqual([]);
  });

  it('writes the lines back in the reference and where D-25 is repaired', () => {
    for (const it of [rig(), rig({ revision: 'rfc-v2', repairs: ['D-01', 'D-25'] })]) {
      expect(writeBack(it)).not.toContain('BUG');
      expect(it.written).toEqual([[0, 64]]);
    }
  });
});
