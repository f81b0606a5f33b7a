// Heads as a proxy passes them on: the received lines as they are, in as few slices as possible, without what belongs to the other hop
// (RFC 9110 §7.6.1), with framing and connection headers of our own. Always HTTP/1.1 (RFC 9112 §2.3). The result is latin1 text.

import { LocalProtocolError } from './errors.ts';
import { HOP_BY_HOP, KIND } from './field-kind.ts';
import type { BodyFraming, Head, RequestHead, ResponseHead } from './head.ts';
import type { HeaderBlock, HeaderNames } from './header-block.ts';
import { reasonPhrase } from './reason.ts';

/** How a head is passed on. Keep one object per route and reuse it. */
export interface HeadRendering {
  /** How the body will be sent. Default: as received. `length` needs `contentLength` unless the length was received. */
  framing?: BodyFraming;
  /** Length of the body that will be sent with framing `length`, where it differs from the received one. */
  contentLength?: number;
  /** What to tell the next hop. Default: nothing, which is `keep-alive` in HTTP/1.1. HTTP/1.0 clients need `keep-alive` to be said. */
  connection?: 'close' | 'keep-alive';
  /** Pass `Upgrade` on (`Connection: upgrade` with it). Default false: it ends here. */
  forwardUpgrade?: boolean;
  /** Headers to leave out besides the hop-by-hop ones. */
  drop?: HeaderNames;
  /** Lines to append, made by `headerLine`; each ends with CR LF. */
  add?: string;
}

export interface RequestRendering extends HeadRendering {
  /** Default: the received one. */
  method?: string;
  /** Default: the received path with query (origin form), `*`, or the authority for CONNECT. */
  target?: string;
  /** Value of Host. Default: the received authority. */
  host?: string;
}

export interface ResponseRendering extends HeadRendering {
  status?: number;
  reason?: string;
}

const NO_RENDERING = {};
const HOST_BIT = 1 << KIND.host;
const LENGTH_BIT = 1 << KIND.contentLength;

/** The head to send upstream, final empty line included. */
export function renderRequestHead(head: RequestHead, rendering: RequestRendering = NO_RENDERING): string {
  const { host = head.authority, framing = head.framing } = rendering;
  const target = rendering.target ?? (head.form === 'authority' ? head.authority : head.path);
  const startLine = `${rendering.method ?? head.method} ${target} HTTP/1.1\r\n`;
  let dropped = HOP_BY_HOP;
  let lines = '';
  // RFC 9112 §3.2.2: Host is made anew when the target overrules it; RFC 9110 §7.2: it comes first.
  if (!head.authorityIsHost || host !== head.authority) {
    dropped |= HOST_BIT;
    lines = `host: ${host}\r\n`;
  }
  const sentLength = framing === 'length' ? lengthToSend(head, rendering) : -1;
  if (sentLength < 0 || sentLength !== head.contentLength || head.lengthNormalised) dropped |= LENGTH_BIT;
  lines += keptLines(head, dropped, rendering.drop) + framingLine(framing, sentLength, dropped);
  const teLine = head.acceptsTrailers ? 'te: trailers\r\n' : '';
  const connection = connectionLines(head, rendering, teLine !== '');
  return `${startLine}${lines}${connection}${teLine}${rendering.add ?? ''}\r\n`;
}

/** The head to send downstream, final empty line included. See `framingFor` for clients that cannot take every framing. */
export function renderResponseHead(head: ResponseHead, rendering: ResponseRendering = NO_RENDERING): string {
  const { status = head.status, framing = head.framing } = rendering;
  const reason = rendering.reason ?? (status === head.status ? head.reason : reasonPhrase(status));
  let dropped = HOP_BY_HOP;
  let sentLength = -1;
  if (framing === 'none') {
    // RFC 9110 §8.6: never in 1xx and 204; in answers to HEAD and in 304 it tells what a GET would have got.
    if (status < 200 || status === 204 || head.framing !== 'none' || head.lengthNormalised) dropped |= LENGTH_BIT;
  } else {
    if (framing === 'length') sentLength = lengthToSend(head, rendering);
    if (sentLength < 0 || sentLength !== head.contentLength || head.lengthNormalised) dropped |= LENGTH_BIT;
  }
  const lines = keptLines(head, dropped, rendering.drop) + framingLine(framing, sentLength, dropped);
  return `HTTP/1.1 ${status} ${reason}\r\n${lines}${connectionLines(head, rendering, false)}${rendering.add ?? ''}\r\n`;
}

/**
 * How to frame a response towards a client of this minor version: what it can take (RFC 9112 §6.1: no chunked to HTTP/1.0) and what keeps
 * its connection alive (§9.3: a body that ended with the upstream's connection is sent chunked). `until-close` obliges to close.
 */
export function framingFor(response: ResponseHead, clientMinorVersion: 0 | 1): BodyFraming {
  const { framing } = response;
  if (framing === 'chunked' && clientMinorVersion === 0) return 'until-close';
  return framing === 'until-close' && clientMinorVersion === 1 ? 'chunked' : framing;
}

/** Trailers as lines for `lastChunk`, without hop-by-hop fields. */
export function renderTrailers(trailers: HeaderBlock, drop?: HeaderNames): string {
  return keptLines(trailers, HOP_BY_HOP, drop);
}

function lengthToSend(head: Head, rendering: HeadRendering): number {
  const length = rendering.contentLength ?? head.contentLength;
  if (length < 0)
    throw new LocalProtocolError('BAD_ARGUMENT', 'Framing `length` needs `contentLength`, since the message came without one.');
  return length;
}

function framingLine(framing: BodyFraming, sentLength: number, dropped: number): string {
  if (framing === 'chunked') return 'transfer-encoding: chunked\r\n';
  return sentLength >= 0 && (dropped & LENGTH_BIT) !== 0 ? `content-length: ${sentLength}\r\n` : '';
}

function connectionLines(head: Head, rendering: HeadRendering, withTe: boolean): string {
  const upgrade = rendering.forwardUpgrade === true ? head.upgrade : '';
  const { connection } = rendering;
  if (connection === undefined && upgrade === '' && !withTe) return '';
  let options = connection ?? '';
  if (upgrade !== '') options += options === '' ? 'upgrade' : ', upgrade';
  if (withTe) options += options === '' ? 'te' : ', te';
  const line = `connection: ${options}\r\n`;
  return upgrade === '' ? line : `${line}upgrade: ${upgrade}\r\n`;
}

/** The received lines except those whose kind has its bit in `dropped` or whose name is in `names`: one slice per run of kept lines. */
function keptLines(block: HeaderBlock, dropped: number, names: HeaderNames | undefined): string {
  const { text, linesStart, linesEnd } = block;
  const { count, kinds, offsets, seen } = block.fields;
  if ((seen & dropped) === 0 && names === undefined) return text.slice(linesStart, linesEnd);
  let kept = '';
  let runStart = linesStart;
  for (let line = 0; line < count; line++) {
    const at = line * 4;
    const isDropped = (dropped & (1 << kinds[line]!)) !== 0 || (names !== undefined && names.matches(text, offsets[at]!, offsets[at + 1]!));
    if (!isDropped) continue;
    const lineStart = offsets[at]!;
    if (lineStart > runStart) kept += text.slice(runStart, lineStart);
    runStart = line + 1 < count ? offsets[at + 4]! : linesEnd;
  }
  return runStart < linesEnd ? kept + text.slice(runStart, linesEnd) : kept;
}
