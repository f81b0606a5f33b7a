// How the streams closed last were closed, so that late frames are told from faults (RFC 9113 §5.1). Two rings of fixed size: ends are far
// more frequent than resets and would push them out, yet it is after a reset that honest frames arrive late.

import type { InactiveState } from './stream-state.ts';

const ENDED_KEPT = 64;
const RESET_KEPT = 256;

export class ClosedStreams {
  private ended: Uint32Array | undefined;
  private endedAt = 0;
  /** Ids; those that the peer reset have the top bit set, which no id has. */
  private resets: Uint32Array | undefined;
  private resetsAt = 0;

  add(id: number, how: 'ended' | 'reset-by-peer' | 'reset-by-us'): void {
    if (how === 'ended') {
      this.ended ??= new Uint32Array(ENDED_KEPT);
      this.ended[this.endedAt++ & (ENDED_KEPT - 1)] = id;
    } else {
      this.resets ??= new Uint32Array(RESET_KEPT);
      this.resets[this.resetsAt++ & (RESET_KEPT - 1)] = how === 'reset-by-peer' ? (id | 0x80000000) >>> 0 : id;
    }
  }

  /** Of a stream that was not left idle and is not open. */
  find(id: number): InactiveState {
    const { resets, ended } = this;
    // The latest entry counts: a stream that ended may be reset afterwards.
    if (resets !== undefined) {
      const byPeer = (id | 0x80000000) >>> 0;
      for (let back = 1; back <= RESET_KEPT; back++) {
        const entry = resets[(this.resetsAt - back) & (RESET_KEPT - 1)];
        if (entry === id) return 'reset-by-us';
        if (entry === byPeer) return 'reset-by-peer';
      }
    }
    return ended?.includes(id) === true ? 'ended' : 'forgotten';
  }
}
