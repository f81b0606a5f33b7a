// SETTINGS of both sides (RFC 9113 §6.5): what the peer asks of us holds at once; what we ask of it holds from its acknowledgement on, and
// until then the more generous of old and new is accepted.

import type { ConnectionViolationCode } from './errors.ts';
import {
  DEFAULT_FRAME_BYTES,
  DEFAULT_TABLE_BYTES,
  DEFAULT_WINDOW_BYTES,
  FRAME_BYTES_MAX,
  SETTING,
  SETTING_BYTES,
  WINDOW_MAX,
  readUint32,
} from './frame.ts';

export interface Http2Settings {
  /** Bytes of HPACK's dynamic table. */
  headerTableSize: number;
  enablePush: boolean;
  /** Infinity when the side has not said anything. */
  maxConcurrentStreams: number;
  initialWindowSize: number;
  maxFrameSize: number;
  /** Infinity when the side has not said anything. */
  maxHeaderListSize: number;
  /** RFC 8441: extended CONNECT is understood. */
  enableConnectProtocol: boolean;
  /** The side answers LOAD frames. */
  answersLoad: boolean;
}

export function defaultSettings(): Http2Settings {
  return {
    headerTableSize: DEFAULT_TABLE_BYTES,
    enablePush: true,
    maxConcurrentStreams: Number.POSITIVE_INFINITY,
    initialWindowSize: DEFAULT_WINDOW_BYTES,
    maxFrameSize: DEFAULT_FRAME_BYTES,
    maxHeaderListSize: Number.POSITIVE_INFINITY,
    enableConnectProtocol: false,
    answersLoad: false,
  };
}

/** Applies a SETTINGS payload, in order, to `settings`. `byServer`: a server sent it. */
export function readSettings(
  bytes: Buffer,
  start: number,
  end: number,
  settings: Http2Settings,
  byServer: boolean,
): ConnectionViolationCode | undefined {
  for (let at = start; at < end; at += SETTING_BYTES) {
    const id = (bytes[at]! << 8) | bytes[at + 1]!;
    const value = readUint32(bytes, at + 2);
    switch (id) {
      case SETTING.headerTableSize:
        settings.headerTableSize = value;
        break;
      case SETTING.enablePush:
        // §6.5.2: a server may only say 0.
        if (value > 1 || (byServer && value === 1)) return 'BAD_SETTING';
        settings.enablePush = value === 1;
        break;
      case SETTING.maxConcurrentStreams:
        settings.maxConcurrentStreams = value;
        break;
      case SETTING.initialWindowSize:
        if (value > WINDOW_MAX) return 'BAD_WINDOW_SETTING';
        settings.initialWindowSize = value;
        break;
      case SETTING.maxFrameSize:
        if (value < DEFAULT_FRAME_BYTES || value > FRAME_BYTES_MAX) return 'BAD_SETTING';
        settings.maxFrameSize = value;
        break;
      case SETTING.maxHeaderListSize:
        settings.maxHeaderListSize = value;
        break;
      case SETTING.enableConnectProtocol:
        // RFC 8441 §3: it cannot be taken back.
        if (value > 1 || (settings.enableConnectProtocol && value === 0)) return 'BAD_SETTING';
        settings.enableConnectProtocol = value === 1;
        break;
      case SETTING.answersLoad:
        // A setting that is no standard's: other values are another's meaning.
        settings.answersLoad = value === 1;
        break;
      default:
        // §6.5.2: unknown settings are ignored.
        break;
    }
  }
  return undefined;
}

/** What this side can change while the connection lives. */
export interface ChangeableSettings {
  readonly headerTableSize?: number;
  readonly maxConcurrentStreams?: number;
  readonly initialWindowSize?: number;
  readonly maxFrameSize?: number;
}

const ID_OF = {
  headerTableSize: SETTING.headerTableSize,
  maxConcurrentStreams: SETTING.maxConcurrentStreams,
  initialWindowSize: SETTING.initialWindowSize,
  maxFrameSize: SETTING.maxFrameSize,
} as const;

/** Our own settings: the acknowledged ones, and those on their way in the order in which they were sent. */
export class LocalSettings {
  private acknowledged: Required<ChangeableSettings>;
  private readonly pending: ChangeableSettings[] = [];

  /** What is asked for most, kept ready: the largest window that the peer may still go by, and the last one sent. */
  largestWindow = 0;
  latestWindow = 0;

  constructor() {
    const { headerTableSize, maxConcurrentStreams, initialWindowSize, maxFrameSize } = defaultSettings();
    this.acknowledged = { headerTableSize, maxConcurrentStreams, initialWindowSize, maxFrameSize };
    this.settle();
  }

  /** Sent and not yet acknowledged. */
  get outstanding(): number {
    return this.pending.length;
  }

  /** Notes a change as sent; returns its frame's content. */
  send(change: ChangeableSettings): [id: number, value: number][] {
    this.pending.push(change);
    this.settle();
    const values: [number, number][] = [];
    for (const key of Object.keys(ID_OF) as (keyof typeof ID_OF)[]) {
      const value = change[key];
      if (value !== undefined) values.push([ID_OF[key], value]);
    }
    return values;
  }

  /** The oldest change was acknowledged; false when there is none. */
  acknowledge(): boolean {
    const change = this.pending.shift();
    if (change === undefined) return false;
    this.acknowledged = { ...this.acknowledged, ...change };
    this.settle();
    return true;
  }

  /** Largest value that the peer may still go by. */
  largest(key: 'headerTableSize' | 'initialWindowSize' | 'maxFrameSize'): number {
    let value = this.acknowledged[key];
    for (const change of this.pending) value = Math.max(value, change[key] ?? 0);
    return value;
  }

  private settle(): void {
    this.largestWindow = this.largest('initialWindowSize');
    const sent = this.pending.findLast((change) => change.initialWindowSize !== undefined);
    this.latestWindow = sent?.initialWindowSize ?? this.acknowledged.initialWindowSize;
  }
}
