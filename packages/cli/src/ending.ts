// SPDX-License-Identifier: MIT
// Waits for the signal that ends a server.

export interface Ending {
  readonly signal: Promise<'SIGINT' | 'SIGTERM'>;
  dispose(): void;
}

/** Takes over both signals until disposed; a second one ends the process at once. */
export function ending(): Ending {
  let resolve: (signal: 'SIGINT' | 'SIGTERM') => void = () => {};
  let ended = false;
  const signal = new Promise<'SIGINT' | 'SIGTERM'>((done) => {
    resolve = done;
  });
  const handler = (name: 'SIGINT' | 'SIGTERM') => (): void => {
    if (ended) process.exit(130);
    ended = true;
    resolve(name);
  };
  const onInterrupt = handler('SIGINT');
  const onTerminate = handler('SIGTERM');
  process.on('SIGINT', onInterrupt);
  process.on('SIGTERM', onTerminate);
  return {
    signal,
    dispose() {
      process.off('SIGINT', onInterrupt);
      process.off('SIGTERM', onTerminate);
    },
  };
}
