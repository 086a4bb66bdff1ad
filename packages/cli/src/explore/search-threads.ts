// SPDX-License-Identifier: MIT
// Threads that search, one job each at a time.

import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { Exploration } from '@pkslab/explore';
import { ending } from '../ending.ts';
import type { Answer, Job, SearchProgress, ThreadData } from './job.ts';

/** A scenario does not take what it was asked: the message says why. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError';
}

/** A search broke off, which no scenario should make it do: the message is for who mends it. */
export class BrokenSearchError extends Error {
  override readonly name = 'BrokenSearchError';
}

/** Runs searches in threads of their own, so that a signal can end them in order. */
export class SearchThreads {
  readonly #stop = new Int32Array(new SharedArrayBuffer(4));
  readonly #idle: Worker[] = [];
  readonly #all: Worker[] = [];

  /** Runs one search; call it as often at once as there shall be threads. */
  async search(job: Job, onProgress: (progress: SearchProgress) => void): Promise<Exploration> {
    const worker = this.#idle.pop() ?? this.#start();
    const answer = await answerOf(worker, job, onProgress);
    // A thread that died has thrown above.
    this.#idle.push(worker);
    if (answer.kind === 'done') return answer.result;
    if (answer.kind === 'refused') throw new RefusedError(answer.message);
    throw new BrokenSearchError(answer.message);
  }

  /** Ends every search at its next look: each gives what it covered. */
  stop(): void {
    Atomics.store(this.#stop, 0, 1);
  }

  async close(): Promise<void> {
    await Promise.all(this.#all.map((worker) => worker.terminate()));
  }

  #start(): Worker {
    const workerData: ThreadData = { stop: this.#stop };
    const worker = new Worker(new URL('./search-thread.js', import.meta.url), { workerData });
    this.#all.push(worker);
    return worker;
  }
}

/** What a command exits with one of whose searches broke off. */
export const BROKEN_STATUS = 4;

/** What a command exits with that a signal ended. */
export const SIGNAL_STATUS = { SIGINT: 130, SIGTERM: 143 } as const;

/**
 * Runs searches that Ctrl-C and SIGTERM end in order, and closes their threads; gives the signal that came, or
 * null. A second signal ends the process at once.
 */
export async function interruptible(
  body: (threads: SearchThreads, stopped: () => boolean) => Promise<void>,
): Promise<'SIGINT' | 'SIGTERM' | null> {
  const threads = new SearchThreads();
  const end = ending();
  let signal: 'SIGINT' | 'SIGTERM' | null = null;
  void end.signal.then((name) => {
    signal = name;
    threads.stop();
  });
  try {
    await body(threads, () => signal !== null);
  } finally {
    end.dispose();
    await threads.close();
  }
  return signal;
}

/** What a thread says at the end of a job; what it says before goes to `onProgress`. */
function answerOf(
  worker: Worker,
  job: Job,
  onProgress: (progress: SearchProgress) => void,
): Promise<Exclude<Answer, { kind: 'progress' }>> {
  return new Promise((resolve, reject) => {
    const onMessage = (answer: Answer): void => {
      if (answer.kind === 'progress') {
        onProgress(answer.progress);
        return;
      }
      worker.off('message', onMessage).off('error', reject);
      resolve(answer);
    };
    worker.on('message', onMessage).on('error', reject);
    worker.postMessage(job);
  });
}

/** Runs work for each item in order, on as many threads at once as there are CPUs, two at most. */
export async function atOnce<T>(
  items: readonly T[],
  work: (item: T) => Promise<void>,
): Promise<void> {
  const left = [...items];
  const lane = async (): Promise<void> => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item);
  };
  const lanes = Math.min(2, availableParallelism());
  await Promise.all(Array.from({ length: lanes }, lane));
}
