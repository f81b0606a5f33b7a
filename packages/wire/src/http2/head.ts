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
  /** @internal Set for those that a connection received: where they go when nobody needs them any more. */
  stock: SectionStock | undefined = undefined;
  /** @internal A connection is receiving it or showing it. */
  lent = false;
  /** @internal No connection may overwrite this object. */
  kept = false;

  /** Makes the object stay valid: the connection takes another one for the next message. */
  keep(): this {
    this.kept = true;
    return this;
  }

  /** Gives a kept object back: it will be another message's, so nobody may look at it after this call. It is not necessary, but saves memory.
   *  Without effect on objects that were not kept, or that no connection has made. */
  release(): void {
    if (!this.kept) return;
    this.kept = false;
    if (!this.lent) this.stock?.give(this);
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

/** Sections that wait for their next use, of each kind: as many as a busy process has under way. */
const STOCK_MAX = 256;
/** Above this measure (RFC 9113 §10.5.1) the fields of a waiting section are let go. */
const HELD_LIST_BYTES_MAX = 4_096;

/** @internal The sections of all connections: idle ones have none. */
export class SectionStock<S extends Http2Fields = Http2Fields> {
  private readonly make: () => S;
  private readonly waiting: S[] = [];

  constructor(make: () => S) {
    this.make = make;
  }

  /** The section to receive into: `last`, unless it was kept. */
  lend(last: S | undefined): S {
    if (last !== undefined && !last.kept) return last;
    if (last !== undefined) last.lent = false;
    let section = this.waiting.pop();
    if (section === undefined) {
      section = this.make();
      section.stock = this;
    }
    section.lent = true;
    return section;
  }

  /** The connection has shown it. */
  end(section: S): void {
    section.lent = false;
    if (!section.kept) this.give(section);
  }

  /** Nobody needs it any more. */
  give(section: S): void {
    if (this.waiting.length === STOCK_MAX) return;
    const { list } = section;
    if (list.size > HELD_LIST_BYTES_MAX) list.fields.length = 0;
    list.reset();
    this.waiting.push(section);
  }
}

export class Http2RequestHead extends Http2Fields {
  /** @internal Its properties were checked. To change them, pass a rendering. */
  received = false;
  method = '';
  /** Empty for CONNECT without :protocol. */
  scheme = '';
  /** From :authority, else from Host, which is not in the list of fields. */
  authority = '';
  /** @internal It came from Host, and there was no :authority. */
  authorityIsHost = false;
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

/** @internal */
export const requestHeadStock: SectionStock<Http2RequestHead> = new SectionStock(() => new Http2RequestHead());
/** @internal */
export const responseHeadStock: SectionStock<Http2ResponseHead> = new SectionStock(() => new Http2ResponseHead());
/** @internal */
export const trailerStock: SectionStock<Http2Trailers> = new SectionStock(() => new Http2Trailers());
