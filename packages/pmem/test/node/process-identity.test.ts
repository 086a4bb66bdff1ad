// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import { isRunning, thisProcess } from '../../src/node/process-identity.ts';
import { deadPid } from './processes.ts';

describe('isRunning', () => {
  it('knows this process and one that belongs to somebody else', () => {
    expect(isRunning(thisProcess())).toBe(true);
    expect(isRunning({ pid: 1, startTime: null })).toBe(true);
  });

  it('knows a process that has ended', () => {
    expect(isRunning({ pid: deadPid(), startTime: null })).toBe(false);
  });

  it('is not misled by a number that was given again', () => {
    const { pid, startTime } = thisProcess();
    if (startTime !== null) expect(isRunning({ pid, startTime: startTime + 1 })).toBe(false);
    expect(isRunning({ pid, startTime: null })).toBe(true);
  });
});
