// The syntax tree of a condition, for those who tell it to other data planes.
import { parse } from '@bufbuild/cel';

/** `cel.expr.Expr` of the language's specification. */
export type ConditionSyntax = NonNullable<ReturnType<typeof parse>['expr']>;

/** @throws Error for what is no expression. */
export function conditionSyntax(source: string): ConditionSyntax {
  return parse(source).expr;
}
