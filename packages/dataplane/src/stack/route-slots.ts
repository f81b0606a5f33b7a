// Route configurations by name, as slots: a listener holds the slot of the name it refers to, and what is in it changes when configuration does.
import type { AccessTable } from './access-table.ts';
import type { RouteTable } from './routes.ts';

export interface RouteSlot {
  readonly name: string;
  table: RouteTable | undefined;
  /** Of the virtual hosts in the table; undefined: none of them asks anything of who calls. */
  access: AccessTable | undefined;
  /** Streams of bytes that came in by these routes and go on for as long as they like: when the rules change, they are decided on again. */
  readonly streams: Set<LongStream>;
}

export interface LongStream {
  /** The rules have changed: ends the stream if it would not be admitted now. */
  decideAgain(): void;
}

export class RouteSlots {
  private readonly slots = new Map<string, RouteSlot>();

  slot(name: string): RouteSlot {
    let slot = this.slots.get(name);
    if (slot === undefined) {
      slot = { name, table: undefined, access: undefined, streams: new Set() };
      this.slots.set(name, slot);
    }
    return slot;
  }
}
