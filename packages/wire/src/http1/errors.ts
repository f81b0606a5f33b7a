// Everything that can be wrong with a message: one table of rules. RemoteProtocolError is the peer's fault and carries the status to
// answer; LocalProtocolError is ours: a parser or encoder was used against its contract, which is a bug to be fixed.

export interface Violation {
  /** What to answer to a request; a faulty response is always answered with 502. */
  readonly httpStatus: number;
  /** Where the rule stands. */
  readonly section: string;
  /** The violated rule as a sentence that a person can act on. */
  readonly rule: string;
}

export const VIOLATIONS = {
  TLS_ON_PLAINTEXT: {
    httpStatus: 400,
    section: 'RFC 9112 §3',
    rule: 'The peer began a TLS handshake on a port that speaks plain HTTP; use http://, or a TLS port.',
  },
  HTTP2_PREFACE: { httpStatus: 505, section: 'RFC 9113 §3.4', rule: 'The peer speaks HTTP/2; this port speaks HTTP/1.1.' },
  BARE_LF: {
    httpStatus: 400,
    section: 'RFC 9112 §2.2',
    rule: 'Lines end with CR LF; a line feed without carriage return is not accepted.',
  },
  BARE_CR: { httpStatus: 400, section: 'RFC 9112 §2.2', rule: 'A carriage return is only accepted directly before a line feed.' },
  TOO_MANY_EMPTY_LINES: { httpStatus: 400, section: 'RFC 9112 §2.2', rule: 'Too many empty lines before the request line.' },
  BAD_METHOD: {
    httpStatus: 400,
    section: 'RFC 9112 §3.1',
    rule: 'The method must be a token: letters, digits and a few signs, followed by one space.',
  },
  BAD_TARGET: {
    httpStatus: 400,
    section: 'RFC 9112 §3.2',
    rule: 'The request target must be visible ASCII without a fragment, between two single spaces.',
  },
  BAD_TARGET_FORM: {
    httpStatus: 400,
    section: 'RFC 9112 §3.2',
    rule: 'The request target must be a path beginning with `/`, an absolute http(s) URL, `host:port` for CONNECT, or `*` for OPTIONS.',
  },
  BAD_AUTHORITY: {
    httpStatus: 400,
    section: 'RFC 9110 §4.2.4, RFC 3986 §3.2',
    rule: 'The authority in the request target must be `host` or `host:port` without user information.',
  },
  REQUEST_LINE_TOO_LONG: { httpStatus: 414, section: 'RFC 9112 §3', rule: 'The request line is longer than the limit.' },
  BAD_VERSION: { httpStatus: 400, section: 'RFC 9112 §2.3', rule: 'The protocol version must be written `HTTP/1.1` or `HTTP/1.0`.' },
  UNSUPPORTED_VERSION: { httpStatus: 505, section: 'RFC 9110 §15.6.6', rule: 'Only HTTP/1.0 and HTTP/1.1 are spoken here.' },
  BAD_STATUS_LINE: {
    httpStatus: 502,
    section: 'RFC 9112 §4',
    rule: 'A status line is version, space, three digits from 100 on, space, reason phrase.',
  },
  HEAD_TOO_LARGE: { httpStatus: 431, section: 'RFC 6585 §5', rule: 'The head of the message is larger than the limit.' },
  TOO_MANY_HEADERS: { httpStatus: 431, section: 'RFC 6585 §5', rule: 'The message has more header lines than the limit.' },
  TOO_MANY_CONNECTION_OPTIONS: { httpStatus: 431, section: 'RFC 6585 §5', rule: 'The Connection header has more members than the limit.' },
  OBSOLETE_FOLD: {
    httpStatus: 400,
    section: 'RFC 9112 §5.2',
    rule: 'A header line must not begin with white space (folded headers are obsolete).',
  },
  HEADER_WITHOUT_COLON: {
    httpStatus: 400,
    section: 'RFC 9112 §5',
    rule: 'Every header line has the form `name: value`; the colon is missing.',
  },
  BAD_HEADER_NAME: { httpStatus: 400, section: 'RFC 9110 §5.1', rule: 'A header name must be a token of at least one character.' },
  SPACE_BEFORE_COLON: {
    httpStatus: 400,
    section: 'RFC 9112 §5.1',
    rule: 'There must be no white space between a header name and its colon.',
  },
  BAD_HEADER_VALUE: { httpStatus: 400, section: 'RFC 9110 §5.5', rule: 'A header value must not contain NUL or other control bytes.' },
  MISSING_HOST: { httpStatus: 400, section: 'RFC 9112 §3.2', rule: 'An HTTP/1.1 request needs a Host header.' },
  REPEATED_HOST: { httpStatus: 400, section: 'RFC 9112 §3.2', rule: 'A request must not have more than one Host header.' },
  BAD_HOST: { httpStatus: 400, section: 'RFC 9112 §3.2, RFC 9110 §7.2', rule: 'The Host header must be `host` or `host:port`.' },
  BAD_CONTENT_LENGTH: {
    httpStatus: 400,
    section: 'RFC 9112 §6.3, RFC 9110 §8.6',
    rule: 'Content-Length must be one decimal number below 10^15.',
  },
  DIFFERING_CONTENT_LENGTHS: {
    httpStatus: 400,
    section: 'RFC 9112 §6.3',
    rule: 'Several Content-Length values that differ make the end of the message ambiguous.',
  },
  LENGTH_AND_CHUNKED: {
    httpStatus: 400,
    section: 'RFC 9112 §6.3',
    rule: 'A message must not have both Content-Length and Transfer-Encoding.',
  },
  TRANSFER_ENCODING_IN_1_0: { httpStatus: 400, section: 'RFC 9112 §6.1', rule: 'An HTTP/1.0 message must not have a Transfer-Encoding.' },
  BAD_TRANSFER_ENCODING: {
    httpStatus: 400,
    section: 'RFC 9112 §6.3, §7.1',
    rule: 'Transfer-Encoding must end with `chunked`, once and without parameters.',
  },
  UNKNOWN_TRANSFER_CODING: { httpStatus: 501, section: 'RFC 9112 §6.1', rule: 'Only the transfer coding `chunked` is understood.' },
  CONNECT_WITH_BODY: { httpStatus: 400, section: 'RFC 9110 §9.3.6', rule: 'A CONNECT request has no content.' },
  BAD_CHUNK_SIZE: {
    httpStatus: 400,
    section: 'RFC 9112 §7.1',
    rule: 'A chunk begins with its size: 1 to 13 hexadecimal digits, then CR LF or an extension.',
  },
  BAD_CHUNK_EXTENSION: { httpStatus: 400, section: 'RFC 9112 §7.1.1', rule: 'A chunk extension must not contain control bytes.' },
  CHUNK_EXTENSIONS_TOO_LARGE: {
    httpStatus: 400,
    section: 'RFC 9112 §7.1.1',
    rule: 'The chunk extensions of the body are larger than the limit.',
  },
  BAD_CHUNK_END: { httpStatus: 400, section: 'RFC 9112 §7.1', rule: 'The data of a chunk must be followed by CR LF.' },
  TRAILERS_TOO_LARGE: { httpStatus: 431, section: 'RFC 6585 §5', rule: 'The trailer section is larger than the limit.' },
  TOO_MANY_TRAILERS: { httpStatus: 431, section: 'RFC 6585 §5', rule: 'The message has more trailer lines than the limit.' },
  FORBIDDEN_TRAILER: {
    httpStatus: 400,
    section: 'RFC 9110 §6.5.1',
    rule: 'Content-Length, Transfer-Encoding and Host are not allowed as trailers.',
  },
  INCOMPLETE_MESSAGE: { httpStatus: 400, section: 'RFC 9112 §8', rule: 'The connection ended in the middle of a message.' },
  UNSOLICITED_RESPONSE: { httpStatus: 502, section: 'RFC 9112 §9.2', rule: 'The server sent bytes that answer no request.' },
  UNEXPECTED_SWITCH: {
    httpStatus: 502,
    section: 'RFC 9110 §15.2.2',
    rule: 'The server switched protocols (101) although no upgrade was asked for.',
  },
  TOO_MANY_INTERIM_RESPONSES: {
    httpStatus: 502,
    section: 'RFC 9110 §15.2',
    rule: 'The server sent more interim (1xx) responses than the limit.',
  },
} as const satisfies Record<string, Violation>;

export type ViolationCode = keyof typeof VIOLATIONS;

/** How a parser or encoder was misused. */
export type MisuseCode = 'WRONG_STATE' | 'BAD_ARGUMENT';

/** What the codecs of all protocols throw or report: RemoteProtocolError, Http2ProtocolError and LocalProtocolError, each with its own codes. */
export class WireError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.name = 'WireError';
    this.code = code;
  }
}

/** The peer broke the protocol. The connection cannot be used any more: answer `httpStatus` if nothing was answered yet, then close. */
export class RemoteProtocolError extends WireError {
  declare readonly code: ViolationCode;
  readonly httpStatus: number;
  readonly section: string;
  constructor(code: ViolationCode, side: 'request' | 'response') {
    const violation: Violation = VIOLATIONS[code];
    super(code, `${violation.rule} (${violation.section})`);
    this.name = 'RemoteProtocolError';
    this.httpStatus = side === 'request' ? violation.httpStatus : 502;
    this.section = violation.section;
  }
}

/** This program used the codec against its contract. */
export class LocalProtocolError extends WireError {
  declare readonly code: MisuseCode;
  constructor(code: MisuseCode, message: string) {
    super(code, message);
    this.name = 'LocalProtocolError';
  }
}
