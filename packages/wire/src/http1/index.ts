// HTTP/1.1 (RFC 9110, RFC 9112) without IO.

export {
  LocalProtocolError,
  RemoteProtocolError,
  VIOLATIONS,
  WireError,
  type MisuseCode,
  type Violation,
  type ViolationCode,
} from './errors.ts';
export { type BodyHandler, type RequestHandler, type ResponseHandler } from './handler.ts';
export { Head, RequestHead, ResponseHead, Trailers, type BodyFraming, type TargetForm } from './head.ts';
export { HeaderBlock, HeaderNames } from './header-block.ts';
export { DEFAULT_HTTP1_LIMITS, type Http1Limits } from './limits.ts';
export { type ParserState } from './parser.ts';
export { RequestParser } from './request-parser.ts';
export { ResponseParser } from './response-parser.ts';
export {
  framingFor,
  renderRequestHead,
  renderResponseHead,
  renderTrailers,
  type HeadRendering,
  type RequestRendering,
  type ResponseRendering,
} from './render.ts';
export {
  CHUNK_END,
  chunkHeader,
  headerLine,
  headerLines,
  httpDate,
  lastChunk,
  renderRequest,
  renderResponse,
  type HeaderList,
  type OwnRequest,
  type OwnResponse,
} from './encode.ts';
export { reasonPhrase } from './reason.ts';
