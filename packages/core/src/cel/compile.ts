// A condition from its text to something that is asked for each request. What it costs is bounded before it runs: the text is short, macros are
// not nested, regular expressions are matched in linear time, and claims are counted.
import { celEnv, isCelError, parse, plan } from '@bufbuild/cel';
import type { Condition, ConditionFacts } from '../authz/condition.ts';
import { RouteFault } from '../routing/error.ts';
import { checkExpression } from './check.ts';
import { PatternCache } from './patterns.ts';
import { timeFunctions } from './time.ts';
import { type Bindings, Variables } from './variables.ts';

/** Longer conditions are programs, which belong into an authorizer of one's own. */
export const CONDITION_LENGTH_MAX = 2_048;

/** Reads a condition; see `ConditionCompiler`. */
export function compileCondition(source: string): Condition {
  if (source.trim() === '') throw new RouteFault('the condition is empty', 'leave it out where there is none');
  if (source.length > CONDITION_LENGTH_MAX)
    throw new RouteFault(`the condition has ${source.length} characters`, `at most ${CONDITION_LENGTH_MAX} are taken; split the rule`);
  const { expr } = parsed(source);
  const reads = checkExpression(source, expr);
  const patterns = new PatternCache(reads.patterns);
  // Errors as values of variables are taken, though the type does not say so.
  const run = plan(celEnv({ funcs: timeFunctions(), re2: patterns }), expr) as unknown as Run;
  const readsClaims = reads.variables.has('claims');
  const readsToken = readsClaims || reads.variables.has('token');
  return new CelCondition(run, new Variables(readsClaims), reads.paths.has('request.path'), readsToken);
}

type Run = (bindings: Bindings) => unknown;

function parsed(source: string): ReturnType<typeof parse> {
  try {
    return parse(source);
  } catch (error) {
    if (error instanceof RangeError) throw new RouteFault('the condition is nested too deeply', 'simplify it');
    const { location } = error as { readonly location?: { readonly start?: { readonly offset?: number } } };
    const offset = location?.start?.offset ?? 0;
    const rest = source.slice(offset, offset + 20);
    throw new RouteFault(
      `the condition cannot be read from character ${offset + 1} on${rest === '' ? '' : `: "${rest}"`}`,
      `write it in the Common Expression Language, as 'request.method == "GET" && "staff" in claims.groups'`,
    );
  }
}

class CelCondition implements Condition {
  readonly readsPath: boolean;
  readonly readsToken: boolean;
  private readonly run: Run;
  private readonly variables: Variables;

  constructor(run: Run, variables: Variables, readsPath: boolean, readsToken: boolean) {
    this.run = run;
    this.variables = variables;
    this.readsPath = readsPath;
    this.readsToken = readsToken;
  }

  holds(facts: ConditionFacts): boolean | undefined {
    const result = this.result(facts);
    return typeof result === 'boolean' ? result : undefined;
  }

  whyUnknown(facts: ConditionFacts): string {
    const result = this.result(facts);
    if (typeof result === 'boolean') return '';
    return isCelError(result) ? result.message : 'its result is neither true nor false';
  }

  /** Errors come back as values. */
  private result(facts: ConditionFacts): unknown {
    return this.run(this.variables.of(facts));
  }
}
