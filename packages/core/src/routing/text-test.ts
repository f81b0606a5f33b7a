// TextMatch and FieldMatch, compiled: one small object each, no closures, nothing worked out again for a request.
import type { FieldMatch, TextMatch } from '../model/route.ts';
import { compilePattern } from './pattern.ts';
import type { Pattern } from './pattern.ts';
import { RouteFault } from './error.ts';
import { queryValue } from './request.ts';
import type { RequestView } from './request.ts';

export interface TextTest {
  fits(text: string): boolean;
}

/** @throws RouteFault for a regular expression that cannot be used, or a text that no header could hold. */
export function compileText(match: TextMatch): TextTest {
  if (match.kind === 'regex') return new RegexTest(compilePattern(match.value));
  checkComparable(match.value);
  if (match.kind !== 'exact' && match.value === '')
    throw new RouteFault(`${match.kind} "" would take every text`, 'say that it must be present, or give a text');
  return match.ignoreCase === true ? new FoldedTest(match.kind, match.value.toLowerCase()) : new PlainTest(match.kind, match.value);
}

/** Heads are compared as bytes; how other characters are encoded there is not agreed upon (RFC 9110 §5.5). */
export function checkComparable(text: string): void {
  if (!/^[\t\x20-\x7e]*$/.test(text))
    throw new RouteFault(
      `"${text}" holds characters that are not ASCII, which requests do not carry as they are`,
      'write them as they are sent, percent-encoded for example',
    );
}

type PlainKind = 'exact' | 'prefix' | 'suffix' | 'contains';

class PlainTest implements TextTest {
  private readonly kind: PlainKind;
  private readonly value: string;

  constructor(kind: PlainKind, value: string) {
    this.kind = kind;
    this.value = value;
  }

  fits(text: string): boolean {
    switch (this.kind) {
      case 'exact':
        return text === this.value;
      case 'prefix':
        return text.startsWith(this.value);
      case 'suffix':
        return text.endsWith(this.value);
      case 'contains':
        return text.includes(this.value);
    }
  }
}

class FoldedTest extends PlainTest {
  override fits(text: string): boolean {
    return super.fits(text.toLowerCase());
  }
}

class RegexTest implements TextTest {
  private readonly pattern: Pattern;

  constructor(pattern: Pattern) {
    this.pattern = pattern;
  }

  fits(text: string): boolean {
    return this.pattern.matches(text);
  }
}

/** A header or a query parameter. */
export class FieldTest {
  readonly match: FieldMatch;
  private readonly name: string;
  private readonly isHeader: boolean;
  private readonly text: TextTest | undefined;
  private readonly invert: boolean;

  /** @throws RouteFault */
  constructor(where: 'header' | 'query', match: FieldMatch) {
    this.match = match;
    this.isHeader = where === 'header';
    this.name = this.isHeader ? match.name.toLowerCase() : match.name;
    this.text = match.match === undefined ? undefined : compileText(match.match);
    this.invert = match.invert === true;
  }

  /** What decides: of a header with several lines the one that is taken, or all of them. */
  value(request: RequestView): string | undefined {
    return this.isHeader ? (this.takenLine(request) ?? request.header(this.name)) : queryValue(request.path, this.name);
  }

  fits(request: RequestView): boolean {
    return (this.isHeader ? this.takenLine(request) !== undefined : this.takes(queryValue(request.path, this.name))) !== this.invert;
  }

  /** Each line by itself: who adds one of his own must not get past a rule by it (Envoy's CVE-2026-26308). */
  private takenLine(request: RequestView): string | undefined {
    for (let line = 0; ; line++) {
      const value = request.header(this.name, line);
      if (value === undefined || this.takes(value)) return value;
    }
  }

  private takes(value: string | undefined): boolean {
    return value !== undefined && (this.text === undefined || this.text.fits(value));
  }
}
