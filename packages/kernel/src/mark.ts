// SPDX-License-Identifier: MIT
// Windows and points of the kernel's code that checkers know by name; see Machine.mark.

/** Ids of marks. A window is begun (1) and ended (0); a point is begun only. */
export const Mark = {
  /** Window: {saved, cache, MSR} are being changed together. */
  update: 0,
  /** Window: prev and next of a context switch disagree with `current`. */
  switch: 1,
  /** Window: an entry or exit sequence saves or restores state. */
  entry: 2,
  /** Window: the running context holds a grant of the key in the argument. */
  grant: 3,
  /** Window: an enable or disable of a grant is under way. */
  grantUpdate: 4,
  /** Point: a handler's body starts. The argument is the vector. */
  handlerBody: 5,
  /** Point: an entry's restore is done: the interrupted context's values must be back. */
  restored: 6,
  /** Point: something that a scenario of legal calls must not reach; the argument says what. */
  complaint: 7,
  /** Point: a task is about to exit. */
  exit: 8,
  /** Point: a new task is about to run for the first time. */
  start: 9,
  /** Point: a line of output. Its result is 1 where the running code passes it again from its record. */
  printk: 10,
  /** Window: code of an entry that may be traced: between instrumentation_begin and instrumentation_end. */
  instrumentation: 11,
  /** Point: an entry's state is about to be saved (argument 0), or restored (1). */
  savesState: 12,
  /** Window to the end of its handler: the interrupted context's rights are changed on purpose. */
  updateException: 13,
} as const;

/** Arguments of {@link Mark.complaint}. */
export const Complaint = { warn: 0, oops: 1, panic: 2 } as const;
