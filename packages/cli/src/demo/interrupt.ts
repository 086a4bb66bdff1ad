// SPDX-License-Identifier: MIT
// Ctrl-C and SIGTERM: the run ends at the next transaction, in order.

export interface Interrupt {
  readonly requested: boolean;
  dispose(): void;
}

/**
 * Takes over both signals until disposed.
 *
 * @param again what a second signal does; if not given, it ends the process at once
 */
export function onInterrupt(again: () => void = () => process.exit(130)): Interrupt {
  const state = { requested: false };
  const handler = (): void => {
    if (state.requested) again();
    state.requested = true;
  };
  process.on('SIGINT', handler);
  process.on('SIGTERM', handler);
  return {
    get requested() {
      return state.requested;
    },
    dispose() {
      process.off('SIGINT', handler);
      process.off('SIGTERM', handler);
    },
  };
}
