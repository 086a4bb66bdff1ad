// SPDX-License-Identifier: MIT
import { boot } from '@pkslab/kernel';
import { describe, expect, it } from 'vitest';
import { RequestQueues } from '../src/request-queue.ts';

describe('RequestQueues', () => {
  const kernel = boot({ cpus: 2 });
  const queues = new RequestQueues(kernel, 16);

  it('let nobody in once the queue is dying, and say so once', () => {
    const queue = queues.create(15, true);
    expect(queues.enter(15, queue)).toBe(true);
    expect(queues.setDying(15, queue)).toBe(true);
    expect(queues.setDying(15, queue)).toBe(false);
    expect(queues.enter(15, queue)).toBe(false);
    queues.exit(15);
  });

  it('tell a new device in the slot from the old one', () => {
    const old = queues.create(15, true);
    queues.setDying(15, old);
    const queue = queues.create(15, true);
    expect(queues.enter(15, old)).toBe(false);
    expect(queues.enter(15, queue)).toBe(true);
    queues.exit(15);
  });

  it('are empty only once everybody has left', () => {
    const queue = queues.create(15, true);
    const events: string[] = [];
    kernel.spawn('inside', () => {
      queues.enter(15, queue);
      kernel.sched.schedule();
      events.push('left');
      queues.exit(15);
    });
    kernel.spawn('waits', () => {
      queues.waitUntilEmpty(15);
      events.push('empty');
    });
    kernel.run();
    expect(events).toEqual(['left', 'empty']);
  });
});
