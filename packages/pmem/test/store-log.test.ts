// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import { StoreLog } from '../src/index.ts';
import { pattern, rig } from './support.ts';

describe('StoreLog', () => {
  it('records stores in units of 8 bytes, write-backs by line, and fences, in order', () => {
    const { kernel, device } = rig();
    const log = new StoreLog(kernel.machine.memory);
    kernel.call(() => {
      device.write(60, pattern(10));
      device.flush();
    });
    log.detach();
    const line = device.physical / 64;
    expect(log.events).toEqual([
      { kind: 'store', line, from: 60, bytes: pattern(10).slice(0, 4) },
      { kind: 'store', line: line + 1, from: 0, bytes: pattern(10).slice(4) },
      { kind: 'writeBack', line },
      { kind: 'writeBack', line: line + 1 },
      { kind: 'fence' },
    ]);
  });

  it('remembers what a line held before its first store', () => {
    const { kernel, device } = rig();
    kernel.call(() => device.write(0, pattern(64)));
    const log = new StoreLog(kernel.machine.memory);
    kernel.call(() => device.write(8, new Uint8Array(8)));
    expect(log.before.get(device.physical / 64)).toEqual(pattern(64));
  });

  it('records nothing once it is detached, and leaves another log alone', () => {
    const { kernel, device } = rig();
    const first = new StoreLog(kernel.machine.memory);
    const second = new StoreLog(kernel.machine.memory);
    first.detach();
    kernel.call(() => device.write(0, pattern(8)));
    expect([first.events.length, second.events.length]).toEqual([0, 2]);
  });
});
