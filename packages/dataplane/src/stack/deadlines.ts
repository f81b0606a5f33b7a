// All deadlines of the data path on one timer. A deadline that moves later costs one assignment: the wheel finds out when its slot
// comes up and files the owner anew. Deadlines fire up to one slot late, never early.
import type { Clock, Timer } from '@heddle/runtime';

const SLOT_MS = 20;
/** 512 slots: 10 s per turn of the wheel; what lies farther ahead is looked at once per turn. */
const SLOTS = 512;

/** Something with a deadline. Subclasses set it through `Deadlines.set`. */
export abstract class Timed {
  /** On the clock of `Clock.nowMs`; Infinity: none. */
  deadlineMs = Infinity;
  /** Of the wheel: the tick it is filed under, -1 when it is not filed. */
  filedTick = -1;
  before: Timed | undefined = undefined;
  after: Timed | undefined = undefined;

  /** The deadline has passed; it is Infinity now. */
  abstract onDeadline(nowMs: number): void;
}

export class Deadlines {
  private readonly clock: Clock;
  private readonly slots: (Timed | undefined)[] = new Array<Timed | undefined>(SLOTS).fill(undefined);
  private filed = 0;
  /** All ticks up to this one have been handled. */
  private doneTick: number;
  private timer: Timer | undefined;
  private timerTick = Infinity;

  constructor(clock: Clock) {
    this.clock = clock;
    this.doneTick = Math.floor(clock.nowMs() / SLOT_MS);
  }

  set(owner: Timed, deadlineMs: number): void {
    owner.deadlineMs = deadlineMs;
    if (deadlineMs === Infinity) return;
    const tick = Math.floor(deadlineMs / SLOT_MS) + 1;
    if (owner.filedTick !== -1) {
      if (owner.filedTick <= tick) return;
      this.unfile(owner);
    }
    this.file(owner, tick);
  }

  /** Forgets the owner. */
  remove(owner: Timed): void {
    owner.deadlineMs = Infinity;
    if (owner.filedTick !== -1) this.unfile(owner);
  }

  close(): void {
    this.timer?.cancel();
    this.timer = undefined;
    this.slots.fill(undefined);
    this.filed = 0;
  }

  private file(owner: Timed, wantedTick: number): void {
    if (this.filed === 0) this.doneTick = Math.max(this.doneTick, Math.floor(this.clock.nowMs() / SLOT_MS));
    const tick = Math.min(Math.max(wantedTick, this.doneTick + 1), this.doneTick + SLOTS);
    const slot = tick % SLOTS;
    const head = this.slots[slot];
    owner.filedTick = tick;
    owner.before = undefined;
    owner.after = head;
    if (head !== undefined) head.before = owner;
    this.slots[slot] = owner;
    this.filed += 1;
    if (tick < this.timerTick) this.arm(tick);
  }

  private unfile(owner: Timed): void {
    if (owner.before === undefined) this.slots[owner.filedTick % SLOTS] = owner.after;
    else owner.before.after = owner.after;
    if (owner.after !== undefined) owner.after.before = owner.before;
    owner.before = undefined;
    owner.after = undefined;
    owner.filedTick = -1;
    this.filed -= 1;
  }

  private arm(tick: number): void {
    this.timer?.cancel();
    this.timerTick = tick;
    this.timer = this.clock.after(Math.max(1, tick * SLOT_MS - this.clock.nowMs()), () => this.run());
  }

  private run(): void {
    this.timer = undefined;
    this.timerTick = Infinity;
    const nowMs = this.clock.nowMs();
    const nowTick = Math.floor(nowMs / SLOT_MS);
    // After a long pause of the process one turn of the wheel visits every slot.
    const first = Math.max(this.doneTick + 1, nowTick - SLOTS + 1);
    this.doneTick = Math.max(this.doneTick, nowTick);
    for (let tick = first; tick <= nowTick; tick++) this.runSlot(tick % SLOTS, nowMs);
    this.armNext();
  }

  private runSlot(slot: number, nowMs: number): void {
    // Taken off as a whole first: owners file themselves and one another again, into this slot too.
    const due: Timed[] = [];
    for (let owner = this.slots[slot]; owner !== undefined; owner = owner.after) due.push(owner);
    this.slots[slot] = undefined;
    this.filed -= due.length;
    for (const owner of due) {
      owner.filedTick = -1;
      owner.before = undefined;
      owner.after = undefined;
    }
    for (const owner of due) this.visit(owner, nowMs);
  }

  private visit(owner: Timed, nowMs: number): void {
    if (owner.filedTick !== -1 || owner.deadlineMs === Infinity) return;
    if (owner.deadlineMs > nowMs) {
      this.file(owner, Math.floor(owner.deadlineMs / SLOT_MS) + 1);
      return;
    }
    owner.deadlineMs = Infinity;
    owner.onDeadline(nowMs);
  }

  private armNext(): void {
    if (this.filed === 0) return;
    for (let tick = this.doneTick + 1; tick <= this.doneTick + SLOTS; tick++) {
      if (this.slots[tick % SLOTS] === undefined) continue;
      if (tick < this.timerTick) this.arm(tick);
      return;
    }
  }
}
