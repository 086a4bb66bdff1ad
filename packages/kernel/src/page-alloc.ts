// SPDX-License-Identifier: MIT
// Pages of RAM, handed out and taken back. mm/page_alloc.c

import { type Column, LARGE_PAGE_SIZE, type Machine, PAGE_SIZE } from '@pkslab/x86-cpu';
import { ENOMEM } from './errno.ts';
import { KernelError } from './kernel-error.ts';

/** The pages of RAM behind the kernel's image. */
export class PageAllocator {
  readonly #machine: Machine;
  readonly #firstFree: number;
  /** A bit a page of RAM: handed out or not. */
  readonly #allocated: Column;
  readonly #pickFrame: number;

  constructor(machine: Machine, firstFree: number) {
    this.#machine = machine;
    this.#firstFree = firstFree;
    this.#allocated = machine.column({
      name: 'mem_map.allocated',
      type: 'u32',
      initial: 0,
      per: 'object',
      count: Math.ceil(machine.memory.ramSize / PAGE_SIZE / 32),
    });
    this.#pickFrame = machine.choosers.length;
    machine.choosers.push({
      alternatives: () => [this.#lowestFree()],
      take: (frame) => this.#takeFrame(frame),
    });
  }

  /**
   * get_zeroed_page: physical address of a zeroed page of RAM, lowest free first. One step.
   *
   * @throws {KernelError} ENOMEM when all are in use.
   */
  alloc(): number {
    const frame = this.tryAlloc();
    if (frame < 0) throw this.noMemory();
    return frame;
  }

  /** The same for callers that return an errno: −1 when all are in use. */
  tryAlloc(): number {
    return this.#machine.choose(this.#pickFrame);
  }

  /** free_page */
  free(frame: number): void {
    const page = frame / PAGE_SIZE;
    this.#allocated.testAndClearBit(Math.floor(page / 32), page % 32);
  }

  /** What to throw where no page is left. */
  noMemory(): KernelError {
    const { ramSize } = this.#machine.memory;
    return new KernelError(ENOMEM, `out of ${ramSize} bytes of RAM: boot with more memory`);
  }

  #lowestFree(): number {
    const { values } = this.#allocated;
    const pages = Math.floor(this.#machine.memory.ramSize / PAGE_SIZE);
    for (let page = this.#firstFree / PAGE_SIZE; page < pages; page++) {
      if ((((values[Math.floor(page / 32)] as number) >>> (page % 32)) & 1) === 0) {
        return page * PAGE_SIZE;
      }
    }
    return -1;
  }

  #takeFrame(frame: number): void {
    if (frame < 0) return;
    const page = frame / PAGE_SIZE;
    const word = Math.floor(page / 32);
    const old = this.#allocated.values[word] as number;
    this.#allocated.poke(word, (old | (1 << (page % 32))) >>> 0);
    const chunk = this.#machine.memory.chunkAt(frame);
    const offset = frame % LARGE_PAGE_SIZE;
    this.#machine.journal?.bytes(chunk, offset, PAGE_SIZE);
    chunk.bytes.fill(0, offset, offset + PAGE_SIZE);
  }
}
