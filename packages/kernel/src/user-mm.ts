// SPDX-License-Identifier: MIT
// The user half of the address space: page-table leaves of what is mapped, and code at CPL 3. mm/memory.c

import {
  type Column,
  entryHigh,
  entryLow,
  HUGE_PAGE_SIZE,
  LARGE_PAGE_SIZE,
  type Machine,
  PAGE_SIZE,
  PF_P,
  PF_PK,
  PF_W,
  PTE_A,
  PTE_D,
  PTE_P,
  PTE_PS,
  PTE_RW,
  PTE_US,
  SAVED_IF,
  SAVED_USER,
} from '@pkslab/x86-cpu';
import { EBADF, EINVAL, ENFILE } from './errno.ts';
import type { Mutex, SpinLock } from './lock.ts';
import type { KernelMappings } from './mm.ts';
import { levelSize, PageTables } from './page-table.ts';
import {
  type MmapRequest,
  type VmArea,
  VmAreas,
  type VmFaultResult,
  type VmFile,
} from './vm-areas.ts';

const FILES_MAX = 16;

/** Who changes what programs map, in the order in which they are taken. */
export interface UserMmLocks {
  /** mm->mmap_lock: areas and tables. Faults take it alone too, so two of them never meet in one table. */
  readonly mmap: Mutex;
  /** mapping->i_mmap_rwsem: which areas map a file. */
  readonly rmap: Mutex;
  /** mm->page_table_lock: leaves. */
  readonly pageTable: SpinLock;
}

/**
 * The user half of the address space: one for all tasks, which are threads of one program.
 *
 * `kernel.userMm` has it. Its leaves lie in the page tables that CR3 names, below the kernel's, with U/S=1.
 */
export class UserMm {
  readonly #machine: Machine;
  readonly #mm: KernelMappings;
  readonly #locks: UserMmLocks;
  readonly #tables: PageTables;
  readonly #areas: VmAreas;
  /** file->f_count */
  readonly #fileCount: Column;
  readonly #files: (VmFile | undefined)[] = [];

  constructor(machine: Machine, mm: KernelMappings, locks: UserMmLocks) {
    this.#machine = machine;
    this.#mm = mm;
    this.#locks = locks;
    this.#tables = new PageTables(machine, mm.root, () => mm.tryAllocPage(), true);
    this.#areas = new VmAreas(machine);
    this.#fileCount = machine.column({
      name: 'file.f_count',
      type: 'u8',
      initial: 0,
      per: 'object',
      count: FILES_MAX,
    });
  }

  /** Makes something mappable: a number for `mmap`, or −ENFILE past 16. Its driver lets go of it with `close`. */
  open(file: VmFile): number {
    for (let id = 0; id < FILES_MAX; id++) {
      if (this.#fileCount.compareExchange(id, 0, 1) !== 0) continue;
      this.#files[id] = file;
      return id;
    }
    return -ENFILE;
  }

  /** The driver lets go of a file: it is released with its last area. May sleep. */
  close(file: number): void {
    this.#locks.rmap.lock();
    this.#put(file);
    this.#locks.rmap.unlock();
  }

  /** fput: the last one releases the file; each area has one of its own. */
  #put(file: number): void {
    // The release comes before the number can be another file's.
    if (this.#fileCount.get(file) === 1) this.#files[file]?.release();
    this.#fileCount.add(file, -1);
  }

  /** Whether anything is mapped. */
  get hasAreas(): boolean {
    return this.#areas.some;
  }

  /**
   * mmap: the address, or −EINVAL, −EBADF, −EEXIST over another area, −ENOMEM past 16 areas, or what the file
   * says. May sleep. Nothing is in the page tables before the first access.
   */
  mmap(request: MmapRequest): number {
    this.#locks.mmap.lock();
    const result = this.#map(request);
    this.#locks.mmap.unlock();
    return result;
  }

  #map(request: MmapRequest): number {
    const file = this.#files[request.file];
    if (file === undefined || this.#fileCount.get(request.file) === 0) return -EBADF;
    const area = this.#areas.plan(request, file.alignment);
    if (typeof area === 'number') return area;
    const error = file.mmap(area);
    if (error < 0) return error;
    this.#locks.rmap.lock();
    this.#fileCount.add(area.file, 1);
    this.#areas.add(area);
    this.#locks.rmap.unlock();
    return area.start;
  }

  /** munmap of one whole area: 0, also where there is none; −EINVAL for a part, since areas are not split. May sleep. */
  munmap(address: number, length: number): number {
    this.#locks.mmap.lock();
    const area = this.#areas.find(address);
    const whole = area?.start === address && area.end === address + length;
    if (area !== null && whole) this.#remove(area);
    this.#locks.mmap.unlock();
    return area === null || whole ? 0 : -EINVAL;
  }

  #remove(area: VmArea): void {
    this.#locks.rmap.lock();
    this.#zap(area);
    this.#areas.remove(area);
    this.#put(area.file);
    this.#locks.rmap.unlock();
    this.#freeTables(area);
  }

  /** zap_page_range, and flush_tlb_range on every CPU: no access that starts after it reaches the pages. */
  #zap({ start, end }: VmArea): void {
    this.#locks.pageTable.lock();
    let leaf = this.#tables.nextLeaf(start, end);
    while (leaf !== null) {
      this.#machine.writeEntry(leaf.at, 0, 0);
      leaf = this.#tables.nextLeaf(leaf.address + leaf.size, end);
    }
    for (const { index } of this.#machine.cpus) this.#machine.flushTlb(false, index);
    this.#locks.pageTable.unlock();
  }

  /** free_pgtables: tables that no other area needs. */
  #freeTables({ start, end }: VmArea): void {
    for (let level = 2; level <= this.#tables.levels; level++) {
      const span = levelSize(level);
      for (let at = Math.floor(start / span) * span; at < end; at += span) {
        if (this.#areas.intersect(at, at + span)) continue;
        const table = this.#tables.takeTable(at, level);
        if (table >= 0) this.#mm.freePage(table);
      }
    }
  }

  /**
   * unmap_mapping_range: no user mapping of a file has a leaf when this returns; the areas stay, and their next
   * access faults. May sleep.
   *
   * Use it after the file's own faults can no longer succeed, and before the memory goes away.
   */
  unmapMapping(file: number): void {
    this.#locks.rmap.lock();
    for (const area of this.#areas.of(file)) this.#zap(area);
    this.#locks.rmap.unlock();
  }

  /** vmf_insert_pfn_pud, _pmd, vmf_insert_mixed: a user leaf for the page of `size` bytes that an address lies in. */
  insertPfn(
    area: VmArea,
    address: number,
    pfn: number,
    size: number,
    write: boolean,
  ): VmFaultResult {
    const level = size === PAGE_SIZE ? 1 : size === LARGE_PAGE_SIZE ? 2 : 3;
    const slot = this.#tables.entryAddress(address, level);
    if (slot < 0) return 'oom';
    const flags =
      PTE_P |
      PTE_US |
      PTE_A |
      (area.writable ? PTE_RW : 0) |
      (write ? PTE_D : 0) |
      (level > 1 ? PTE_PS : 0);
    const physical = pfn * PAGE_SIZE;
    this.#locks.pageTable.lock();
    // Where another thread was first the access is tried again as it is.
    if ((this.#machine.readEntry(slot) & PTE_P) === 0) {
      const high = entryHigh(physical, area.key, true);
      this.#machine.writeEntry(slot, entryLow(physical, flags), high);
    }
    this.#locks.pageTable.unlock();
    return 'nopage';
  }

  /** do_user_addr_fault and handle_mm_fault: null once the access may be tried again, else the signal. May sleep. */
  handleFault(errorCode: number, address: number): string | null {
    this.#locks.mmap.lock();
    const signal = this.#handle(errorCode, address);
    this.#locks.mmap.unlock();
    return signal;
  }

  #handle(errorCode: number, address: number): string | null {
    const area = this.#areas.find(address);
    if (area === null) return 'SIGSEGV (SEGV_MAPERR)';
    if ((errorCode & PF_PK) !== 0) return 'SIGSEGV (SEGV_PKUERR)';
    const write = (errorCode & PF_W) !== 0;
    if (write && !area.writable) return 'SIGSEGV (SEGV_ACCERR)';
    // flush_tlb_fix_spurious_fault: a leaf that allows it is there, whatever a TLB held.
    if ((errorCode & PF_P) !== 0) return null;
    return this.#hugeFault(area, address, write);
  }

  /** The largest leaf first, as create_huge_pud and create_huge_pmd come before handle_pte_fault. */
  #hugeFault(area: VmArea, address: number, write: boolean): string | null {
    const file = this.#files[area.file] as VmFile;
    const sizes = [HUGE_PAGE_SIZE, LARGE_PAGE_SIZE, PAGE_SIZE];
    if (!this.#machine.features.gigabytePages) sizes.shift();
    for (const size of sizes) {
      const result = file.hugeFault(area, address, size, write);
      if (result === 'nopage') return null;
      if (result === 'oom') return 'SIGKILL (out of memory)';
      if (result === 'sigbus') break;
    }
    return 'SIGBUS (BUS_ADRERR)';
  }

  /**
   * Runs code of a program at CPL 3 in the calling task, and comes back by a system call.
   *
   * Use it for accesses to what `mmap` returned. The code may load, store and execute what user mode may, and
   * nothing of the kernel. A fault that the kernel cannot resolve is a signal, which ends the task; an
   * instruction with a fixup (`tryStore32`, `tryLoad32`) is one of a program that handles it.
   *
   * @throws {TaskKilled} from the kernel's call, where a signal ended the task.
   * @example
   * const kernel = boot();
   * kernel.call(() => kernel.userMm.run(() => kernel.machine.tryStore32(0x1000, 1))); // => true
   */
  run<T>(program: () => T): T {
    this.#machine.iret(SAVED_IF | SAVED_USER, 0);
    const value = program();
    this.#machine.syscall();
    this.#machine.sti();
    return value;
  }
}
