// Heads and trailers of HTTP/2 messages: pseudo-header fields as properties, the others as a list of HPACK's field objects. The same
// classes serve for what was received, for what is passed on, and for messages of our own.

import { FieldList, HeaderField } from '../hpack/index.ts';
import { LocalProtocolError } from '../http1/errors.ts';
import { isFieldValue, ruleOf, RULE } from './field-rule.ts';

/** A field of our own, for `add` of a rendering. Make it once. Throws LocalProtocolError for what may not be sent: a name that is no token in
 *  lower case or speaks of the connection, a value with control characters or white space at its ends. */
export function http2Field(name: string, value: string, neverIndexed: boolean = false): HeaderField {
  const field = new HeaderField(name, value, neverIndexed);
  const rule = ruleOf(field);
  if (rule > RULE.te || !isFieldValue(value)) {
    throw new LocalProtocolError('BAD_ARGUMENT', `This is no header field of HTTP/2: ${JSON.stringify(`${name}: ${value}`)}.`);
  }
  return field;
}

/** A section of fields. Received ones belong to their connection and are valid during the call that shows them, unless `keep` is called. */
export class Http2Fields {
  /** @internal The list as decoded; pseudo-header fields come before `first`. */
  readonly list: FieldList = new FieldList();
  /** @internal */
  first = 0;
  /** @internal The connection must not overwrite this object. */
  kept = false;

  /** Makes the object stay valid: the connection takes a new one for the next message. */
  keep(): this {
    this.kept = true;
    return this;
  }

  /** Number of fields, without pseudo-header fields. */
  get count(): number {
    return this.list.count - this.first;
  }

  /** Fields count from 0. */
  field(index: number): HeaderField {
    return this.list.fields[this.first + index]!;
  }

  /** Index of the first field from `from` on with this name (lower case), or -1. */
  find(name: string, from: number = 0): number {
    const { fields, count } = this.list;
    for (let at = this.first + from; at < count; at++) if (fields[at]!.name === name) return at - this.first;
    return -1;
  }

  /** Whether there is a field of this name (lower case). */
  has(name: string): boolean {
    return this.find(name) !== -1;
  }

  /** Value of the first field of this name (lower case). */
  get(name: string): string | undefined {
    const index = this.find(name);
    return index === -1 ? undefined : this.field(index).value;
  }

  /** Appends a field of our own; see `http2Field` for what is refused. */
  add(name: string, value: string, neverIndexed: boolean = false): this {
    this.list.add(http2Field(name, value, neverIndexed));
    return this;
  }

  /** Name and value of each field. For cold paths; hot ones count from 0 to `count`. */
  *[Symbol.iterator](): IterableIterator<[name: string, value: string]> {
    for (let index = 0; index < this.count; index++) yield [this.field(index).name, this.field(index).value];
  }
}

export class Http2Trailers extends Http2Fields {}

export class Http2RequestHead extends Http2Fields {
  /** @internal Its properties were checked. To change them, pass a rendering. */
  received = false;
  method = '';
  /** Empty for CONNECT without :protocol. */
  scheme = '';
  /** From :authority, else from Host, which is not in the list of fields. */
  authority = '';
  /** With query; `*` for OPTIONS of the server as a whole; empty for CONNECT without :protocol. */
  path = '';
  /** RFC 8441: what an extended CONNECT is for, such as `websocket`; otherwise empty. */
  protocol = '';
  /** Value of Content-Length, -1 without one. */
  contentLength = -1;
  /** `te: trailers`. */
  acceptsTrailers = false;
}

export class Http2ResponseHead extends Http2Fields {
  /** 100 to 999. */
  status = 0;
  /** Value of Content-Length, -1 without one. In answers to HEAD and in 304 it says nothing about this message's body. */
  contentLength = -1;
}
