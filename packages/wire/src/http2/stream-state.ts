// The states of a stream and what may be received in each, as tables (RFC 9113 §5.1). Push is disabled, so nothing is ever reserved.

import type { Http2ViolationCode } from './errors.ts';

export type StreamState = 'idle' | 'open' | 'half-closed-local' | 'half-closed-remote' | 'closed';

export type StreamEvent = 'send-headers' | 'receive-headers' | 'send-end' | 'receive-end' | 'reset';

/** What follows. Missing: the event cannot happen, which for our own sending is a fault of the caller. */
export const NEXT_STATE: Readonly<Record<StreamState, Readonly<Partial<Record<StreamEvent, StreamState>>>>> = {
  idle: { 'send-headers': 'open', 'receive-headers': 'open' },
  open: {
    'send-headers': 'open',
    'receive-headers': 'open',
    'send-end': 'half-closed-local',
    'receive-end': 'half-closed-remote',
    reset: 'closed',
  },
  'half-closed-local': { 'receive-headers': 'half-closed-local', 'receive-end': 'closed', reset: 'closed' },
  'half-closed-remote': { 'send-headers': 'half-closed-remote', 'send-end': 'closed', reset: 'closed' },
  closed: {},
};

/** A stream that is not open, as seen from the frame that arrives for it. `ended`: both sides ended it. `forgotten`: closed so long ago that
 *  nobody knows how, or passed over when a higher stream was opened. */
export type InactiveState = 'idle' | 'ended' | 'reset-by-peer' | 'reset-by-us' | 'forgotten';

export type StreamFrame = 'headers' | 'data' | 'rst-stream' | 'window-update';

export type Verdict = 'accept' | 'ignore' | Http2ViolationCode;

/** RFC 9113 §5.1, the paragraphs on each state. HEADERS on an idle stream open it (checked for its number elsewhere). */
export const RECEIVE: Readonly<Record<StreamState | InactiveState, Readonly<Record<StreamFrame, Verdict>>>> = {
  idle: { headers: 'accept', data: 'IDLE_STREAM', 'rst-stream': 'IDLE_STREAM', 'window-update': 'IDLE_STREAM' },
  open: { headers: 'accept', data: 'accept', 'rst-stream': 'accept', 'window-update': 'accept' },
  'half-closed-local': { headers: 'accept', data: 'accept', 'rst-stream': 'accept', 'window-update': 'accept' },
  'half-closed-remote': {
    headers: 'STREAM_HALF_CLOSED',
    data: 'STREAM_HALF_CLOSED',
    'rst-stream': 'accept',
    'window-update': 'accept',
  },
  // Only reached by what a handler closed while its frame was being read.
  closed: { headers: 'ignore', data: 'ignore', 'rst-stream': 'ignore', 'window-update': 'ignore' },
  ended: { headers: 'CLOSED_STREAM', data: 'CLOSED_STREAM', 'rst-stream': 'ignore', 'window-update': 'ignore' },
  'reset-by-peer': { headers: 'STREAM_WAS_RESET', data: 'STREAM_WAS_RESET', 'rst-stream': 'ignore', 'window-update': 'ignore' },
  // The peer may have sent these before it saw our RST_STREAM.
  'reset-by-us': { headers: 'ignore', data: 'ignore', 'rst-stream': 'ignore', 'window-update': 'ignore' },
  // §5.1.1: opening a stream below the highest one is a connection error; the others may be late.
  forgotten: { headers: 'BAD_STREAM_ID', data: 'ignore', 'rst-stream': 'ignore', 'window-update': 'ignore' },
};
