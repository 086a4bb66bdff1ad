// SPDX-License-Identifier: MIT
// Which process this is, and whether another one still runs: a pid alone is used again by the system.

import { readFileSync } from 'node:fs';
import { hostCode } from './media-error.ts';

/** A process: its number, and when it started where the host can tell. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks from the start of the system (/proc/PID/stat, field 22); null where there is no /proc. */
  readonly startTime: number | null;
}

const START_TIME_FIELD = 22;

/** This process. */
export function thisProcess(): ProcessIdentity {
  return { pid: process.pid, startTime: startTimeOf(process.pid) };
}

/** Whether a process still runs: another that has its pid now does not count where start times are known. */
export function isRunning({ pid, startTime }: ProcessIdentity): boolean {
  if (!hasPid(pid)) return false;
  const now = startTimeOf(pid);
  return startTime === null || now === null || now === startTime;
}

function hasPid(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it runs, and belongs to somebody else.
    return hostCode(error) !== 'ESRCH';
  }
}

/** The second field, the name in parentheses, may itself hold blanks and parentheses. */
function startTimeOf(pid: number): number | null {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return null;
  }
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const value = Number(fields[START_TIME_FIELD - 3]);
  return Number.isFinite(value) ? value : null;
}
