// SPDX-License-Identifier: MIT
// What is mapped in the user half: areas, their files, and where there is room. struct vm_area_struct, mm/mmap.c

import { type Column, type FieldDefinition, type Machine, PAGE_SIZE } from '@pkslab/x86-cpu';
import { EEXIST, EINVAL, ENOMEM } from './errno.ts';

/** TASK_UNMAPPED_BASE: where areas start that ask for no address. */
const UNMAPPED_BASE = 0x2aaa_aaaa_b000;
/** TASK_SIZE with 4 levels; with 5 no more is used. */
const TASK_SIZE = 0x7fff_ffff_f000;
const AREAS_MAX = 16;
const VM_WRITE = 1 << 1;
const VM_SHARED = 1 << 3;

/** What a fault on an area comes to: VM_FAULT_NOPAGE, _SIGBUS, _FALLBACK, _OOM. */
export type VmFaultResult = 'nopage' | 'sigbus' | 'fallback' | 'oom';

/** struct vm_area_struct, as it was when it was looked up. */
export interface VmArea {
  readonly start: number;
  readonly end: number;
  /** Byte of the file that `start` maps. */
  readonly offset: number;
  readonly file: number;
  readonly writable: boolean;
  /** MAP_SHARED */
  readonly shared: boolean;
  /** Protection key, as pkey_mprotect sets it; PKRU decides on it. */
  readonly key: number;
}

/** What can be mapped: the `mmap`, `huge_fault` and `release` of a file. */
export interface VmFile {
  /** Bytes that an area should start on a multiple of. */
  readonly alignment: number;
  /** f_op->mmap: 0, or a negative errno. */
  mmap(area: VmArea): number;
  /** vm_ops->huge_fault: has a leaf of `size` bytes put in with {@link UserMm.insertPfn}, or says why not. */
  hugeFault(area: VmArea, address: number, size: number, write: boolean): VmFaultResult;
  /** f_op->release: neither a driver nor an area has it any more. */
  release(): void;
}

export interface MmapRequest {
  /** What {@link UserMm.open} returned. */
  readonly file: number;
  /** Bytes; whole pages. */
  readonly length: number;
  /** Byte of the file; default 0. */
  readonly offset?: number;
  /** MAP_FIXED_NOREPLACE; default where there is room. */
  readonly address?: number;
  /** PROT_WRITE; default true. */
  readonly writable?: boolean;
  /** MAP_SHARED; default true. */
  readonly shared?: boolean;
  /** Default 0. */
  readonly key?: number;
}

/** The areas of the user half, in cells; who changes them holds mmap_lock. */
export class VmAreas {
  /** mm->map_count */
  readonly #count: Column;
  readonly #start: Column;
  /** 0: the slot is free. */
  readonly #end: Column;
  readonly #offset: Column;
  readonly #file: Column;
  readonly #flags: Column;
  readonly #key: Column;

  constructor(machine: Machine) {
    const area = (name: string, type: FieldDefinition['type']): Column =>
      machine.column({ name: `vma.${name}`, type, initial: 0, per: 'object', count: AREAS_MAX });
    this.#count = machine.column({ name: 'mm.map_count', type: 'u8', initial: 0, per: 'global' });
    this.#start = area('vm_start', 'address');
    this.#end = area('vm_end', 'address');
    this.#offset = area('vm_pgoff', 'address');
    this.#file = area('vm_file', 'u8');
    this.#flags = area('vm_flags', 'u8');
    this.#key = area('pkey', 'u8');
  }

  /** Whether there is any. */
  get some(): boolean {
    return this.#count.get(0) !== 0;
  }

  /** The area that a request asks for, or −EINVAL, −EEXIST over another one, −ENOMEM. */
  plan(request: MmapRequest, alignment: number): VmArea | number {
    const { file, length, offset = 0, writable = true, shared = true, key = 0 } = request;
    const start = request.address ?? this.#unmappedArea(offset, alignment);
    if (length <= 0 || [length, offset, start].some((value) => value % PAGE_SIZE !== 0)) {
      return -EINVAL;
    }
    const end = start + length;
    if (start < PAGE_SIZE || end > TASK_SIZE || this.#freeSlot() < 0) return -ENOMEM;
    if (this.intersect(start, end)) return -EEXIST;
    return { start, end, offset, file, writable, shared, key };
  }

  /** get_unmapped_area: behind all areas, where a large leaf can map the offset. */
  #unmappedArea(offset: number, alignment: number): number {
    let base = UNMAPPED_BASE;
    for (let slot = 0; slot < AREAS_MAX; slot++) base = Math.max(base, this.#end.get(slot));
    return base + ((((offset - base) % alignment) + alignment) % alignment);
  }

  #freeSlot(): number {
    for (let slot = 0; slot < AREAS_MAX; slot++) if (this.#end.get(slot) === 0) return slot;
    return -1;
  }

  /** Whether any area has a byte of a range. */
  intersect(start: number, end: number): boolean {
    for (let slot = 0; slot < AREAS_MAX; slot++) {
      if (start < this.#end.get(slot) && this.#start.get(slot) < end) return true;
    }
    return false;
  }

  add(area: VmArea): void {
    const slot = this.#freeSlot();
    this.#start.set(slot, area.start);
    this.#offset.set(slot, area.offset);
    this.#file.set(slot, area.file);
    this.#flags.set(slot, (area.writable ? VM_WRITE : 0) | (area.shared ? VM_SHARED : 0));
    this.#key.set(slot, area.key);
    this.#end.set(slot, area.end);
    this.#count.add(0, 1);
  }

  remove(area: VmArea): void {
    for (let slot = 0; slot < AREAS_MAX; slot++) {
      if (this.#end.get(slot) !== area.end) continue;
      this.#end.set(slot, 0);
      this.#count.add(0, -1);
    }
  }

  /** find_vma: the area that has an address; null without one. */
  find(address: number): VmArea | null {
    for (let slot = 0; slot < AREAS_MAX; slot++) {
      if (address < this.#end.get(slot) && this.#start.get(slot) <= address) return this.#at(slot);
    }
    return null;
  }

  /** i_mmap: the areas that map a file. */
  of(file: number): readonly VmArea[] {
    const areas: VmArea[] = [];
    for (let slot = 0; slot < AREAS_MAX; slot++) {
      if (this.#end.get(slot) !== 0 && this.#file.get(slot) === file) areas.push(this.#at(slot));
    }
    return areas;
  }

  #at(slot: number): VmArea {
    const flags = this.#flags.get(slot);
    return {
      start: this.#start.get(slot),
      end: this.#end.get(slot),
      offset: this.#offset.get(slot),
      file: this.#file.get(slot),
      writable: (flags & VM_WRITE) !== 0,
      shared: (flags & VM_SHARED) !== 0,
      key: this.#key.get(slot),
    };
  }
}
