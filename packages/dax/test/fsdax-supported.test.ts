// SPDX-License-Identifier: MIT
import { TaskKilled } from '@pkslab/kernel';
import { describe, expect, it } from 'vitest';
import { PAGES, rig } from './support.ts';

describe('generic_fsdax_supported', () => {
  it.each([
    ['the whole device', 4096, 0, PAGES * 4096, true],
    ['one page', 4096, 8192, 4096, true],
    ['blocks of another size', 1024, 0, PAGES * 4096, false],
    ['a start within a page', 4096, 512, 8192, false],
    ['less than a page', 4096, 0, 512, false],
    ['a range beyond the end', 4096, 0, (PAGES + 1) * 4096, false],
  ])('judges %s', (_what, blockSize, start, length, expected) => {
    const { kernel, core, device } = rig();
    const supported = kernel.call(() =>
      core.genericFsdaxSupported(device, blockSize, start, length),
    );
    expect(supported).toBe(expected);
    expect(kernel.call(() => core.readLockHeld)).toBe(false);
  });

  it('says no for a range that begins with a bad page', () => {
    const { kernel, core, device } = rig({}, 0);
    expect(kernel.call(() => core.genericFsdaxSupported(device, 4096, 0, 8192))).toBe(false);
  });

  it('would oops if it dropped the lock before its last use of the addresses (patch 11 undone)', () => {
    const { kernel, core, device } = rig({ sabotages: ['dax-supported-scope-narrow'] });
    const ask = () => kernel.call(() => core.genericFsdaxSupported(device, 4096, 0, 8192));
    kernel.spawn('mount', () => void core.genericFsdaxSupported(device, 4096, 0, 8192));
    kernel.run();
    expect(kernel.dmesg.join('\n')).toContain('protection keys violation');
    expect(ask).toThrow(TaskKilled);
  });
});
