// What a condition may say: names that exist, functions whose cost is bounded, macros that are not nested. All of it is found out before the
// condition meets a request.
import type { parse } from '@bufbuild/cel';
import { RouteFault } from '../routing/error.ts';
import { isTimeZone } from './time.ts';

type Expression = NonNullable<ReturnType<typeof parse>['expr']>;

/** Their fields; empty: any. */
export const VARIABLES: Readonly<Record<string, readonly string[]>> = {
  source: ['identity', 'namespace', 'service', 'address', 'labels'],
  destination: ['namespace', 'service', 'labels'],
  request: ['method', 'path', 'query', 'host', 'headers', 'time', 'protocol'],
  claims: [],
  token: ['issuer'],
};

const TYPES = new Set(['int', 'uint', 'double', 'bool', 'string', 'bytes', 'list', 'map', 'null_type', 'type']);
const TIME_PARTS = [
  'getFullYear',
  'getMonth',
  'getDate',
  'getDayOfMonth',
  'getDayOfWeek',
  'getDayOfYear',
  'getHours',
  'getMinutes',
  'getSeconds',
  'getMilliseconds',
];
const FUNCTIONS = new Set([
  ...['size', 'contains', 'startsWith', 'endsWith', 'matches', ...TIME_PARTS],
  ...['int', 'uint', 'double', 'bool', 'string', 'bytes', 'timestamp', 'duration', 'type', 'dyn'],
]);
/** As the parser names them: `_&&_`, `!_`, `@in`. */
const OPERATOR = /^(?:[!-]_|_.+_|@in|@not_strictly_false|_\?_:_|_\[_\])$/;

/** Each goes through a list that a request may bring along. */
const MACROS_MAX = 4;

export interface Reads {
  readonly variables: ReadonlySet<string>;
  /** With one field: `request.path`. */
  readonly paths: ReadonlySet<string>;
  /** Regular expressions. */
  readonly patterns: ReadonlySet<string>;
}

/** @throws RouteFault */
export function checkExpression(source: string, expression: Expression): Reads {
  const checker = new Checker(source);
  if (isNeverBoolean(expression)) throw checker.fault('its result is neither true nor false', 'compare it with something');
  checker.check(expression, new Set(), false);
  return checker;
}

class Checker implements Reads {
  readonly variables = new Set<string>();
  readonly paths = new Set<string>();
  readonly patterns = new Set<string>();
  private readonly source: string;
  private macros = 0;

  constructor(source: string) {
    this.source = source;
  }

  /**
   * @param own variables of macros around it.
   * @param inMacro in what is done for each value of a list.
   */
  check({ exprKind }: Expression, own: ReadonlySet<string>, inMacro: boolean): void {
    const inside = (part: Expression | undefined): void => {
      if (part !== undefined) this.check(part, own, inMacro);
    };
    switch (exprKind.case) {
      case 'identExpr':
        this.name(exprKind.value.name, own);
        return;
      case 'selectExpr':
        this.select(exprKind.value, own, inMacro);
        return;
      case 'callExpr':
        this.call(exprKind.value, own, inMacro);
        return;
      case 'listExpr':
        for (const element of exprKind.value.elements) inside(element);
        return;
      case 'structExpr':
        if (exprKind.value.messageName !== '')
          throw this.fault(`it makes a message "${exprKind.value.messageName}"`, 'compare plain values');
        for (const { keyKind, value } of exprKind.value.entries) {
          if (keyKind.case === 'mapKey') inside(keyKind.value);
          inside(value);
        }
        return;
      case 'comprehensionExpr':
        this.macro(exprKind.value, own, inMacro);
        return;
      default:
    }
  }

  private name(name: string, own: ReadonlySet<string>): void {
    if (own.has(name) || name.startsWith('@') || TYPES.has(name)) return;
    const fields = Object.hasOwn(VARIABLES, name) ? VARIABLES[name] : undefined;
    if (fields === undefined)
      throw this.fault(`there is no variable "${name}"`, `there are ${Object.keys(VARIABLES).join(', ')}; texts are in quotes`);
    if (fields.length > 0)
      throw this.fault(`"${name}" stands alone`, `ask for one of ${fields.map((field) => `${name}.${field}`).join(', ')}`);
    this.variables.add(name);
  }

  private select({ operand, field }: SelectOf<Expression>, own: ReadonlySet<string>, inMacro: boolean): void {
    if (operand === undefined) return;
    const variable = variableName(operand, own);
    const fields = variable === undefined ? undefined : VARIABLES[variable];
    if (variable === undefined || fields === undefined || fields.length === 0) {
      if (isHeaders(operand, own)) this.header(field, operand, own);
      else this.check(operand, own, inMacro);
      return;
    }
    if (!fields.includes(field)) throw this.fault(`there is no "${variable}.${field}"`, `of ${variable} there are ${fields.join(', ')}`);
    if (variable === 'request' && field === 'headers')
      throw this.fault('request.headers stands alone', `ask for one header, as request.headers["x-user"], or "x-user" in request.headers`);
    this.variables.add(variable);
    this.paths.add(`${variable}.${field}`);
  }

  private call({ function: name, target, args }: CallOf<Expression>, own: ReadonlySet<string>, inMacro: boolean): void {
    if (!OPERATOR.test(name) && !FUNCTIONS.has(name))
      throw this.fault(
        `there is no function "${name}"`,
        `there are ${[...FUNCTIONS].slice(0, 5).join(', ')}, conversions and parts of times`,
      );
    const [first, second] = args;
    if (name === 'matches') this.pattern(args);
    if (TIME_PARTS.includes(name)) this.timeZone(first);
    if (name === '_[_]' && first !== undefined && isHeaders(first, own)) {
      this.header(textOf(second), first, own);
      if (second !== undefined) this.check(second, own, inMacro);
      return;
    }
    if (name === '@in' && second !== undefined && isHeaders(second, own)) {
      this.header(textOf(first), second, own);
      if (first !== undefined) this.check(first, own, inMacro);
      return;
    }
    if (name === '@in' && inMacro && second?.exprKind.case !== 'listExpr')
      throw this.fault('"in" goes through a list for each value that a macro goes through', 'write the list out, or ask without the macro');
    if (target !== undefined) this.check(target, own, inMacro);
    for (const part of args) this.check(part, own, inMacro);
  }

  /** @param name undefined: known only when it is asked for. */
  private header(name: string | undefined, headers: Expression, own: ReadonlySet<string>): void {
    if (name?.toLowerCase() === 'host') throw this.fault('the header "host" is the authority', 'ask for request.host');
    if (name?.startsWith(':') === true)
      throw this.fault(`"${name}" is not a header`, 'ask for request.method, request.path or request.host');
    const variable = headers.exprKind.case === 'selectExpr' && headers.exprKind.value.operand;
    if (variable) this.variables.add(variableName(variable, own) ?? '');
    this.paths.add('request.headers');
  }

  private pattern(args: readonly Expression[]): void {
    const pattern = textOf(args.at(-1));
    if (pattern === undefined)
      throw this.fault('the pattern of matches() is not a text', 'write it out: patterns that a request brings along are not run');
    this.patterns.add(pattern);
  }

  private timeZone(zone: Expression | undefined): void {
    if (zone === undefined) return;
    const name = textOf(zone);
    if (name === undefined || !isTimeZone(name))
      throw this.fault(
        `${name === undefined ? 'a time zone is not a text' : `there is no time zone "${name}"`}`,
        'write one as "Europe/Berlin" or "+02:00"',
      );
  }

  private macro(value: ComprehensionOf<Expression>, own: ReadonlySet<string>, inMacro: boolean): void {
    if (inMacro)
      throw this.fault('a macro stands inside another one, which multiplies their costs', 'put one after the other, or use "in"');
    if (++this.macros > MACROS_MAX) throw this.fault(`it has more than ${MACROS_MAX} macros`, 'split the rule, or use "in"');
    if (value.iterRange !== undefined) this.check(value.iterRange, own, inMacro);
    if (Object.hasOwn(VARIABLES, value.iterVar))
      throw this.fault(`"${value.iterVar}" is a variable already`, 'call what the macro goes through otherwise');
    const named = new Set([...own, value.iterVar]);
    for (const part of [value.loopCondition, value.loopStep, value.result]) if (part !== undefined) this.check(part, named, true);
  }

  fault(reason: string, mend: string): RouteFault {
    return new RouteFault(`the condition ${JSON.stringify(this.source)} cannot be used: ${reason}`, mend);
  }
}

function isNeverBoolean({ exprKind }: Expression): boolean {
  if (exprKind.case === 'constExpr') return exprKind.value.constantKind.case !== 'boolValue';
  return exprKind.case === 'listExpr' || exprKind.case === 'structExpr';
}

type ValueOf<E extends Expression, K> = Extract<E['exprKind'], { readonly case: K }> extends { readonly value: infer V } ? V : never;
type SelectOf<E extends Expression> = ValueOf<E, 'selectExpr'>;
type CallOf<E extends Expression> = ValueOf<E, 'callExpr'>;
type ComprehensionOf<E extends Expression> = ValueOf<E, 'comprehensionExpr'>;

function variableName({ exprKind }: Expression, own: ReadonlySet<string>): string | undefined {
  if (exprKind.case !== 'identExpr') return undefined;
  const { name } = exprKind.value;
  return !own.has(name) && Object.hasOwn(VARIABLES, name) ? name : undefined;
}

/** `request.headers`, whose values are asked for one by one. */
function isHeaders({ exprKind }: Expression, own: ReadonlySet<string>): boolean {
  if (exprKind.case !== 'selectExpr') return false;
  const { operand, field, testOnly } = exprKind.value;
  return field === 'headers' && !testOnly && operand !== undefined && variableName(operand, own) === 'request';
}

function textOf(expression: Expression | undefined): string | undefined {
  if (expression?.exprKind.case !== 'constExpr') return undefined;
  const { constantKind } = expression.exprKind.value;
  return constantKind.case === 'stringValue' ? constantKind.value : undefined;
}
