// Everything that can be wrong on an HTTP/2 connection: one table of rules with the error code of RFC 9113 §7 to send. A rule of scope
// `stream` costs the peer one stream, a rule of scope `connection` all of them.

import { HPACK_VIOLATIONS, type HpackViolationCode } from '../hpack/index.ts';
import { WireError } from '../http1/errors.ts';

/** RFC 9113 §7. */
export const HTTP2_ERROR = {
  noError: 0x0,
  protocolError: 0x1,
  internalError: 0x2,
  flowControlError: 0x3,
  settingsTimeout: 0x4,
  streamClosed: 0x5,
  frameSizeError: 0x6,
  /** Nothing of the request was processed: it may be sent again (§8.7). */
  refusedStream: 0x7,
  cancel: 0x8,
  compressionError: 0x9,
  connectError: 0xa,
  enhanceYourCalm: 0xb,
  inadequateSecurity: 0xc,
  http11Required: 0xd,
} as const;

export interface Http2Violation {
  readonly scope: 'connection' | 'stream';
  /** What RST_STREAM or GOAWAY says. */
  readonly errorCode: number;
  /** Where the rule stands. */
  readonly section: string;
  /** The violated rule as a sentence that a person can act on. */
  readonly rule: string;
}

function connection(errorCode: number, section: string, rule: string): Http2Violation {
  return { scope: 'connection', errorCode, section: `RFC 9113 ${section}`, rule };
}

function stream(errorCode: number, section: string, rule: string): Http2Violation {
  return { scope: 'stream', errorCode, section: `RFC 9113 ${section}`, rule };
}

const { protocolError, flowControlError, streamClosed, frameSizeError, refusedStream, compressionError, enhanceYourCalm } = HTTP2_ERROR;

const CONNECTION_VIOLATIONS = {
  BAD_PREFACE: connection(
    protocolError,
    '§3.4',
    'The connection does not begin with the preface of HTTP/2; the peer speaks something else.',
  ),
  SETTINGS_NOT_FIRST: connection(protocolError, '§3.4', 'The first frame of a connection is SETTINGS.'),
  FRAME_TOO_LARGE: connection(frameSizeError, '§4.2', 'A frame is larger than the announced SETTINGS_MAX_FRAME_SIZE.'),
  BAD_FRAME_SIZE: connection(frameSizeError, '§4.2, §6', 'The payload of a frame has a size that its type does not allow.'),
  BAD_PADDING: connection(protocolError, '§6.1, §6.2', 'The padding of a frame is longer than what it pads.'),
  STREAM_NEEDED: connection(protocolError, '§6', 'A frame that belongs to a stream was sent on stream 0.'),
  STREAM_NOT_ALLOWED: connection(protocolError, '§6', 'SETTINGS, PING and GOAWAY belong to the connection: stream 0.'),
  BAD_STREAM_ID: connection(protocolError, '§5.1.1', 'New streams have the parity of the side that opens them, and ascending numbers.'),
  IDLE_STREAM: connection(protocolError, '§5.1', 'A stream begins with HEADERS; another frame was sent on a stream that nobody opened.'),
  CLOSED_STREAM: connection(streamClosed, '§5.1', 'HEADERS or DATA were sent on a stream after its END_STREAM.'),
  CONTINUATION_EXPECTED: connection(
    protocolError,
    '§4.3, §6.10',
    'A header block must be finished by CONTINUATION frames before any other.',
  ),
  CONTINUATION_UNEXPECTED: connection(protocolError, '§6.10', 'CONTINUATION only follows HEADERS that did not end their block.'),
  PUSH_NOT_ALLOWED: connection(protocolError, '§6.6, §8.4', 'PUSH_PROMISE was sent although push is disabled.'),
  BAD_SETTING: connection(protocolError, '§6.5.2', 'A setting has a value that it cannot have.'),
  BAD_WINDOW_SETTING: connection(flowControlError, '§6.5.2', 'SETTINGS_INITIAL_WINDOW_SIZE is at most 2^31-1.'),
  SETTINGS_ACK_UNEXPECTED: connection(protocolError, '§6.5.3', 'SETTINGS were acknowledged that had not been sent.'),
  CONNECTION_WINDOW_ZERO_INCREMENT: connection(protocolError, '§6.9', 'A WINDOW_UPDATE of the connection has the increment 0.'),
  CONNECTION_WINDOW_OVERFLOW: connection(flowControlError, '§6.9.1', 'A flow-control window of the connection grew beyond 2^31-1.'),
  SETTINGS_WINDOW_OVERFLOW: connection(
    flowControlError,
    '§6.9.2',
    'A change of SETTINGS_INITIAL_WINDOW_SIZE made a window larger than 2^31-1.',
  ),
  CONNECTION_WINDOW_EXCEEDED: connection(flowControlError, '§6.9.1', 'The peer sent more DATA than the window of the connection allows.'),
  BAD_HEADER_BLOCK: connection(compressionError, '§4.3', 'A header block cannot be decompressed.'),
  HEADER_BLOCK_TOO_LARGE: connection(enhanceYourCalm, '§10.5.1', 'A header block has more bytes than the limit.'),
  TOO_MANY_CONTINUATIONS: connection(enhanceYourCalm, '§10.5.1', 'A header block comes in more CONTINUATION frames than the limit.'),
  IDLE_SELF_DEPENDENCY: connection(protocolError, '§5.3.1 of RFC 7540', 'A stream cannot depend on itself.'),
  TOO_MANY_RESETS: connection(enhanceYourCalm, '§10.5', 'The peer opens streams and cancels or breaks them faster than the limit.'),
  TOO_MANY_SETTINGS: connection(enhanceYourCalm, '§10.5', 'The peer sends SETTINGS faster than the limit.'),
  TOO_MANY_PINGS: connection(enhanceYourCalm, '§10.5', 'The peer sends PING faster than the limit.'),
  TOO_MANY_LOAD_QUESTIONS: connection(enhanceYourCalm, '§10.5', 'The peer asks for the load faster than the limit.'),
  TOO_MANY_EMPTY_FRAMES: connection(enhanceYourCalm, '§10.5', 'The peer sends DATA without content faster than the limit.'),
  TOO_MANY_WINDOW_UPDATES: connection(enhanceYourCalm, '§10.5', 'The peer sends WINDOW_UPDATE faster than the limit.'),
  TOO_MANY_IGNORED_FRAMES: connection(enhanceYourCalm, '§10.5', 'The peer sends PRIORITY or unknown frames faster than the limit.'),
  TOO_MANY_LATE_FRAMES: connection(enhanceYourCalm, '§10.5', 'The peer sends frames on closed streams faster than the limit.'),
  TOO_MANY_REPLIES: connection(enhanceYourCalm, '§10.5', 'The peer makes us answer more than the limit without anything being written.'),
} as const;

const STREAM_VIOLATIONS = {
  TOO_MANY_STREAMS: stream(refusedStream, '§5.1.2', 'More streams are open than SETTINGS_MAX_CONCURRENT_STREAMS allows.'),
  STREAM_HALF_CLOSED: stream(streamClosed, '§5.1', 'HEADERS or DATA were sent on a stream after its END_STREAM.'),
  STREAM_WAS_RESET: stream(streamClosed, '§5.1', 'HEADERS or DATA were sent on a stream after its RST_STREAM.'),
  SELF_DEPENDENCY: stream(protocolError, '§5.3.1 of RFC 7540', 'A stream cannot depend on itself.'),
  BAD_PRIORITY_SIZE: stream(frameSizeError, '§6.3', 'The payload of PRIORITY has five bytes.'),
  STREAM_WINDOW_ZERO_INCREMENT: stream(protocolError, '§6.9', 'A WINDOW_UPDATE of a stream has the increment 0.'),
  STREAM_WINDOW_OVERFLOW: stream(flowControlError, '§6.9.1', 'The flow-control window of a stream grew beyond 2^31-1.'),
  STREAM_WINDOW_EXCEEDED: stream(flowControlError, '§6.9.1', 'The peer sent more DATA than the window of the stream allows.'),
  HEADERS_TOO_LARGE: stream(enhanceYourCalm, '§10.5.1', 'The header list is larger than the announced SETTINGS_MAX_HEADER_LIST_SIZE.'),
  BAD_FIELD_NAME: stream(protocolError, '§8.2.1', 'A field name is a token in lower case.'),
  BAD_FIELD_VALUE: stream(protocolError, '§8.2.1', 'A field value has no control characters and no white space at its ends.'),
  CONNECTION_FIELD: stream(
    protocolError,
    '§8.2.2',
    'Connection, Keep-Alive, Proxy-Connection, Transfer-Encoding and Upgrade do not exist in HTTP/2, and TE only as `trailers`.',
  ),
  UNKNOWN_PSEUDO: stream(protocolError, '§8.3', 'A pseudo-header field is unknown or does not belong into this message.'),
  PSEUDO_AFTER_FIELD: stream(protocolError, '§8.3', 'Pseudo-header fields come before all others.'),
  REPEATED_PSEUDO: stream(protocolError, '§8.3', 'A pseudo-header field occurs at most once.'),
  MISSING_PSEUDO: stream(protocolError, '§8.3.1, §8.3.2', 'Requests have :method, :scheme and :path, responses have :status.'),
  PSEUDO_IN_TRAILERS: stream(protocolError, '§8.1', 'Trailers have no pseudo-header fields.'),
  BAD_CONNECT: stream(
    protocolError,
    '§8.5, RFC 8441 §4',
    'CONNECT has :authority with a port and neither :scheme nor :path; with :protocol it has all of them, if the server allows it.',
  ),
  BAD_METHOD: stream(protocolError, '§8.3.1', ':method is a token.'),
  BAD_SCHEME: stream(protocolError, '§8.3.1', ':scheme is a scheme of RFC 3986 §3.1.'),
  BAD_PATH: stream(protocolError, '§8.3.1', ':path begins with `/` and is visible ASCII, or is `*` for OPTIONS.'),
  BAD_AUTHORITY: stream(protocolError, '§8.3.1', ':authority and Host are `host` or `host:port` without user information.'),
  MISSING_AUTHORITY: stream(protocolError, '§8.3.1', 'A request names its host in :authority or Host.'),
  HOST_DIFFERS: stream(protocolError, '§8.3.1', 'Host names the same as :authority, and occurs at most once.'),
  BAD_STATUS: stream(protocolError, '§8.3.2', ':status is a number of three digits from 100 on, and not 101.'),
  BAD_CONTENT_LENGTH: stream(protocolError, '§8.1.1', 'Content-Length is one decimal number below 10^15.'),
  LENGTH_DIFFERS: stream(protocolError, '§8.1.1', 'DATA are as many bytes as Content-Length says; for HEAD, 204 and 304 there are none.'),
  INTERIM_ENDS_STREAM: stream(protocolError, '§8.1', 'An interim (1xx) response cannot end the stream.'),
  TOO_MANY_INTERIM_RESPONSES: stream(enhanceYourCalm, '§10.5', 'There are more interim (1xx) responses than the limit.'),
  TRAILERS_WITHOUT_END: stream(protocolError, '§8.1', 'A second header section ends the stream: trailers carry END_STREAM.'),
  DATA_BEFORE_HEADERS: stream(protocolError, '§8.1', 'A message begins with HEADERS.'),
} as const;

export const HTTP2_VIOLATIONS: Readonly<Record<Http2ViolationCode, Http2Violation>> = { ...CONNECTION_VIOLATIONS, ...STREAM_VIOLATIONS };

export type ConnectionViolationCode = keyof typeof CONNECTION_VIOLATIONS;
export type StreamViolationCode = keyof typeof STREAM_VIOLATIONS;
export type Http2ViolationCode = ConnectionViolationCode | StreamViolationCode;

/** The peer broke a rule of scope `connection`. GOAWAY is in the output: write it, then close. */
export class Http2ProtocolError extends WireError {
  declare readonly code: ConnectionViolationCode;
  /** What the GOAWAY says. */
  readonly errorCode: number;
  readonly section: string;
  /** `hpack`: what was wrong with the header block, for BAD_HEADER_BLOCK. */
  constructor(code: ConnectionViolationCode, hpack?: HpackViolationCode) {
    const violation: Http2Violation = CONNECTION_VIOLATIONS[code];
    const cause = hpack === undefined ? undefined : HPACK_VIOLATIONS[hpack];
    const { rule, section } = cause ?? violation;
    super(code, `${rule} (${section})`);
    this.name = 'Http2ProtocolError';
    this.errorCode = violation.errorCode;
    this.section = section;
  }
}
