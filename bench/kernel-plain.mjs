// kmap and kunmap by hand: no columns, no classes of the kernel, everything within the compiler's reach.

/** What kmap + kunmap of a protected page do in `reference`, on plain objects. */
export class PlainKmap {
  cpu = { branch: true, preempt: 0, cache: 0x55555554, pkrs: 0x55555554, if: true };
  task = { saved: 0x55555554, ref: 0, depth: 0, maps: new Array(16).fill(0) };
  sections = new Map();
  pgmaps = [{ flags: 2 }];
  key = 1;
  readDeny = 0;
  writeDeny = 0;

  constructor(pfn) {
    this.sections.set(pfn >>> 15, 0);
  }

  isProtected(pfn) {
    if (!this.cpu.branch) return false;
    const id = this.sections.get(pfn >>> 15);
    return id !== undefined && (this.pgmaps[id].flags & 2) !== 0;
  }

  update(rights) {
    const { task, cpu } = this;
    const shift = this.key * 2;
    task.saved = ((task.saved & ~(3 << shift)) | (rights << shift)) >>> 0;
    cpu.preempt++;
    cpu.cache = task.saved;
    cpu.pkrs = task.saved;
    this.derive(cpu.pkrs);
    cpu.preempt--;
  }

  /** As the machine does, so that loads stay fast: a bit for each key that refuses. */
  derive(pkrs) {
    this.readDeny = evenBits(pkrs);
    this.writeDeny = evenBits(pkrs | (pkrs >>> 1));
  }

  enable() {
    if (!this.cpu.branch) return;
    const flag = this.cpu.if;
    this.cpu.if = false;
    if (this.task.ref === 0) this.update(0);
    this.task.ref++;
    this.cpu.if = flag;
  }

  disable() {
    if (!this.cpu.branch) return;
    const flag = this.cpu.if;
    this.cpu.if = false;
    this.task.ref--;
    if (this.task.ref === 0) this.update(1);
    this.cpu.if = flag;
  }

  kmap(pfn) {
    if (this.isProtected(pfn)) {
      const depth = ++this.task.depth;
      if (depth <= 16) this.task.maps[depth - 1] = pfn;
      this.enable();
    }
    return -0x7780_0000_0000 + pfn * 4096;
  }

  kunmap(pfn) {
    if (this.isProtected(pfn)) {
      this.disable();
      this.task.depth--;
    }
  }
}

function evenBits(value) {
  let bits = value & 0x5555_5555;
  bits = (bits | (bits >>> 1)) & 0x3333_3333;
  bits = (bits | (bits >>> 2)) & 0x0f0f_0f0f;
  bits = (bits | (bits >>> 4)) & 0x00ff_00ff;
  return (bits | (bits >>> 8)) & 0xffff;
}
