// SPDX-License-Identifier: MIT
// Errors that reach the host program.

/** A call that failed with an errno (positive, as in errno.h); its message says what was wrong and what to do. */
export class KernelError extends Error {
  override readonly name: string = 'KernelError';
  readonly errno: number;

  constructor(errno: number, message: string) {
    super(message);
    this.errno = errno;
  }
}

/** The kernel stopped: an oops in interrupt context, or `panic()`. */
export class KernelPanic extends Error {
  override readonly name = 'KernelPanic';
}

/** The task that made the call was killed by an oops; `dmesg` has the report. */
export class TaskKilled extends Error {
  override readonly name = 'TaskKilled';
  readonly task: number;

  constructor(task: number, report: string) {
    super(`task ${task} was killed: ${report}`);
    this.task = task;
  }
}

/** No task can run, and no event can come that would wake one. */
export class Deadlock extends Error {
  override readonly name = 'Deadlock';
}
