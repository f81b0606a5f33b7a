// Header changes of routes as the two versions of HTTP need them. Most routes have none; of those that have, most values are always the same and are
// rendered once.
import { compileHeaderChanges } from '@heddle/core';
import type { CompiledHeaderChanges, HeaderChanges, HeaderFacts } from '@heddle/core';
import { HeaderNames } from '@heddle/wire';

/** A header of our own: name in lower case, and value. */
export type OwnHeader = readonly [name: string, value: string];

/** Of requests or responses. */
export class HeaderRewrite {
  /** In lower case: what was received under these names is not passed on. */
  readonly drop: readonly string[];
  private readonly changes: CompiledHeaderChanges;
  /** Where no value depends on the request. */
  private readonly fixed: readonly OwnHeader[] | undefined;
  private readonly merged = new Map<HeaderNames | undefined, HeaderNames>();

  /** Undefined: nothing changes. @param changes the most general first. @throws RouteFault */
  static of(...changes: readonly (HeaderChanges | undefined)[]): HeaderRewrite | undefined {
    const compiled = compileHeaderChanges(...changes);
    return compiled === undefined ? undefined : new HeaderRewrite(compiled);
  }

  private constructor(changes: CompiledHeaderChanges) {
    this.changes = changes;
    this.drop = changes.drop;
    const isFixed = changes.fields.every(({ value }) => value.fixed !== undefined);
    this.fixed = isFixed ? changes.fields.map(({ name, value }) => [name, value.fixed!]) : undefined;
  }

  /** Needs no facts. */
  get isFixed(): boolean {
    return this.fixed !== undefined;
  }

  /** Written behind the others, in this order. */
  headers(facts: HeaderFacts): readonly OwnHeader[] {
    return this.fixed ?? this.changes.fields.map(({ name, value }) => [name, value.render(facts)]);
  }

  /** What is not passed on, with what is dropped anyway. @param names one of few objects that live as long as the data plane. */
  dropping(names: HeaderNames | undefined, texts: readonly string[]): HeaderNames {
    let merged = this.merged.get(names);
    if (merged === undefined) {
      merged = new HeaderNames([...texts, ...this.drop]);
      this.merged.set(names, merged);
    }
    return merged;
  }
}
