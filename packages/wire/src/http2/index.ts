// HTTP/2 (RFC 9113) without IO.

export { type Http2Connection } from './connection.ts';
export { Http2Client } from './client.ts';
export { Http2Server } from './server.ts';
export { type Http2Options, type Http2State } from './core.ts';
export { type Http2Rendering, type Http2RequestRendering, type Http2ResponseRendering } from './encode-head.ts';
export {
  HTTP2_ERROR,
  HTTP2_VIOLATIONS,
  Http2ProtocolError,
  type ConnectionViolationCode,
  type Http2Violation,
  type Http2ViolationCode,
  type StreamViolationCode,
} from './errors.ts';
export { CLIENT_PREFACE } from './frame.ts';
export { type Http2ClientHandler, type Http2Handler, type Http2ServerHandler } from './handler.ts';
export { type LoadAnswer } from './load.ts';
export { Http2RequestHead, Http2ResponseHead, Http2Trailers, Http2Fields, http2Field } from './head.ts';
export { DEFAULT_HTTP2_LIMITS, type Http2Budget, type Http2Limits } from './limits.ts';
export { type ChangeableSettings, type Http2Settings } from './settings.ts';
export { type StreamState } from './stream-state.ts';
export { Http2Stream } from './stream.ts';
export { toHttp1Request, toHttp1Response, toHttp1Trailers } from './to-http1.ts';
