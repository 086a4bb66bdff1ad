// SPDX-License-Identifier: MIT
// A thread that searches: the main one stays free for Ctrl-C and the progress line.

import { parentPort, workerData } from 'node:worker_threads';
import { ExploreError, explore, stepsOf } from '@pkslab/explore';
import { KernelError } from '@pkslab/kernel';
import { scenarios } from '@pkslab/selftests';
import type { Answer, Job, SearchProgress, ThreadData } from './job.ts';

/** Seconds between two words on how far a search is. */
const PROGRESS_INTERVAL = 0.5;

const { stop } = workerData as ThreadData;

parentPort?.on('message', (job: Job) => parentPort?.postMessage(answer(job)));

function answer({ scenario: name, options }: Job): Answer {
  const scenario = scenarios.find((one) => one.name === name);
  if (scenario === undefined) return { kind: 'refused', message: `no scenario ${name}` };
  let said = 0;
  const onProgress = (progress: SearchProgress): void => {
    if (progress.seconds - said < PROGRESS_INTERVAL) return;
    said = progress.seconds;
    parentPort?.postMessage({ kind: 'progress', progress } satisfies Answer);
  };
  const clock = (): number => performance.now() / 1000;
  const shouldStop = (): boolean => Atomics.load(stop, 0) === 1;
  try {
    const { trace, ...rest } = options;
    const guide = trace === undefined ? {} : { guide: stepsOf(scenario, trace) };
    const result = explore(scenario, { ...rest, ...guide, clock, onProgress, shouldStop });
    return { kind: 'done', result };
  } catch (error) {
    if (error instanceof KernelError || error instanceof ExploreError) {
      return { kind: 'refused', message: error.message };
    }
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { kind: 'failed', message: text };
  }
}
