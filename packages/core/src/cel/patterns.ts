// The regular expressions of a condition: the same machine as in routes, made when the condition is compiled. `matches` looks for the pattern
// anywhere in the text, as the language says.
import { compilePattern, type Pattern } from '../routing/pattern.ts';

/** What the library asks for a pattern. */
export class PatternCache {
  private readonly patterns: ReadonlyMap<string, { test(text: string): boolean }>;

  /** @throws RouteFault for a pattern that cannot be used. */
  constructor(sources: ReadonlySet<string>) {
    this.patterns = new Map([...sources].map((source) => [source, new Search(source)]));
  }

  compile(source: string): { test(text: string): boolean } {
    const pattern = this.patterns.get(source);
    // Only constants get here: the check sees to that.
    if (pattern === undefined) throw new Error('the pattern was not known when the condition was compiled');
    return pattern;
  }
}

class Search {
  private readonly pattern: Pattern;

  constructor(source: string) {
    // Once by itself: what is wrong is said in the words that it was written in.
    compilePattern(source);
    this.pattern = compilePattern(`[\\s\\S]*(?:${source})[\\s\\S]*`);
  }

  test(text: string): boolean {
    return this.pattern.matches(text);
  }
}
