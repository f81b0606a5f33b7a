// Conditions of access rules as Envoy evaluates them: the same syntax tree with Envoy's names for what it asks for. What fails to evaluate counts
// against the caller, and Envoy only knows "true" and all the rest; so what may be missing is asked for first.
import type { AccessPolicy } from '@heddle/core';
import type { ConditionSyntax } from '@heddle/core/cel';
import type { Expr } from '../../../gen/foreign/google/api/expr/v1alpha1/syntax.ts';
import type { At } from '../rejection.ts';
import { escaped } from './envoy-match.ts';
import { ENCODED_TWICE, SLASHES_ALONE, UNDERSTOOD } from './envoy-paths.ts';
import { CLAIMS_KEY, TOKEN_FILTER } from './envoy-tokens.ts';
import type { EncodeOptions } from './options.ts';

interface Context {
  readonly denies: boolean;
  readonly issuers: ReadonlyMap<string, string>;
  readonly labels: AccessPolicy['labels'];
  readonly options: EncodeOptions;
}

/** Throws XdsRejection for what Envoy cannot be told. */
export function envoyCondition(source: string, context: Context, at: At): Expr {
  const { expression: read } = context.options;
  if (read === undefined) return at.reject('conditions cannot be told to Envoy here');
  return new Writer(context, at).truth(read(source), context.denies);
}

type Kind<K extends string> = Extract<ConditionSyntax['exprKind'], { readonly case: K }> extends { readonly value: infer V } ? V : never;
type Call = Kind<'callExpr'>;

/** As the parser names them, and Envoy too. */
const AND = '_&&_';
const OR = '_||_';
const NOT = '!_';
const INDEX = '_[_]';
const IN = '@in';
const EQUAL = '_==_';
const UNEQUAL = '_!=_';
const COMPARISONS = [EQUAL, UNEQUAL, '_<_', '_<=_', '_>_', '_>=_'];
const ARITHMETIC = ['_+_', '_-_', '_*_', '_/_', '_%_', '-_'];
const TIME_PARTS = [
  ...['getFullYear', 'getMonth', 'getDate', 'getDayOfMonth', 'getDayOfWeek', 'getDayOfYear'],
  ...['getHours', 'getMinutes', 'getSeconds', 'getMilliseconds'],
];
const FUNCTIONS = ['size', 'contains', 'startsWith', 'endsWith', 'matches', 'timestamp', 'duration', ...TIME_PARTS];
/** Attributes of a request that mean the same to both. */
const REQUEST: Readonly<Record<string, string>> = { method: 'method', path: 'url_path', query: 'query', time: 'time' };
/** Without what multiplies: Envoy's limit is on the program that becomes of it. */
const PATTERN_LENGTH_MAX = 128;
const SPIFFE_NAME = '[A-Za-z0-9._-]+';

class Writer {
  readonly #context: Context;
  readonly #at: At;

  constructor(context: Context, at: At) {
    this.#context = context;
    this.#at = at;
  }

  /** True where the condition is; where it cannot be evaluated, `orUnknown`. */
  truth(node: ConditionSyntax, orUnknown: boolean): Expr {
    const call = callOf(node);
    const [first, second] = call?.args ?? [];
    if (call?.function === NOT && first !== undefined) return not(this.truth(first, !orUnknown));
    if ((call?.function === AND || call?.function === OR) && first !== undefined && second !== undefined)
      return callTo(call.function, [this.truth(first, orUnknown), this.truth(second, orUnknown)]);
    const guards: Expr[] = [];
    const value = this.#statement(node, guards);
    if (guards.length === 0) return value;
    return orUnknown ? or([...guards.map(not), value]) : and([...guards, value]);
  }

  #statement(node: ConditionSyntax, guards: Expr[]): Expr {
    const call = callOf(node);
    const special = call === undefined ? undefined : this.#comparison(call, guards);
    if (special !== undefined) return special;
    const present = this.#presence(node);
    return present ?? this.#value(node, guards);
  }

  /** Whether a claim or a header is there: false, not unknown, where what is around it is missing. */
  #presence(node: ConditionSyntax): Expr | undefined {
    const call = callOf(node);
    if (call?.function === IN) {
      const [name, map] = call.args;
      if (name === undefined || map === undefined) return undefined;
      if (pathOf(map)?.join('.') === 'request.headers') return callTo(IN, [text(this.#textOf(name).toLowerCase()), request('headers')]);
      const path = pathOf(map);
      return path?.length === 1 && path[0] === 'claims' ? and(claimGuards([this.#textOf(name)])) : undefined;
    }
    if (node.exprKind.case !== 'selectExpr' || !node.exprKind.value.testOnly) return undefined;
    const path = [...(pathOf(node.exprKind.value.operand) ?? []), node.exprKind.value.field];
    const [variable, ...rest] = path;
    if (variable === 'claims') return and(claimGuards(rest));
    if (variable === 'request' && rest[0] === 'headers' && rest.length === 2)
      return callTo(IN, [text((rest[1] ?? '').toLowerCase()), request('headers')]);
    return this.#cannot(`has(${path.join('.')})`);
  }

  /** `==`, `!=` and `in` with texts, of what Envoy knows only in another form. */
  #comparison({ function: operator, args }: Call, guards: Expr[]): Expr | undefined {
    const [left, right] = args;
    if (left === undefined || right === undefined || ![EQUAL, UNEQUAL, IN].includes(operator)) return undefined;
    const [asked, given] = operator === IN || derived(left) ? [left, right] : [right, left];
    const path = pathOf(asked);
    if (path === undefined || !derived(asked)) return undefined;
    const texts = operator === IN ? listOf(given)?.map((one) => this.#textOf(one)) : [this.#textOf(given)];
    if (texts === undefined) return this.#cannot(`${path.join('.')} in something that is no list of texts`);
    // They become parts of patterns.
    if (texts.some((one) => one.length > PATTERN_LENGTH_MAX)) return this.#cannot('a text of this length here');
    const { known, is } = this.#derived(path);
    guards.push(...known);
    const any = or(texts.map(is));
    return operator === UNEQUAL ? not(any) : any;
  }

  #derived(path: readonly string[]): { readonly known: readonly Expr[]; readonly is: (value: string) => Expr } {
    const name = path.join('.');
    const spiffe = (namespace: string, service: string): Expr =>
      callTo('matches', [text(`^spiffe://[^/]+/ns/${namespace}/svc/${service}$`)], identity());
    switch (name) {
      case 'source.namespace':
        return { known: [spiffe(SPIFFE_NAME, SPIFFE_NAME)], is: (value) => spiffe(escaped(value), SPIFFE_NAME) };
      case 'source.service':
        return { known: [spiffe(SPIFFE_NAME, SPIFFE_NAME)], is: (value) => spiffe(SPIFFE_NAME, escaped(value)) };
      case 'request.host':
        return { known: [], is: (value) => callTo('matches', [text(`^(?i:${escaped(value)})\\.?(:[^:\\]]*)?$`)], request('host')) };
      case 'token.issuer':
        return {
          known: claimGuards(['iss']),
          is: (value) => callTo(EQUAL, [claim(['iss']), text(this.#context.issuers.get(value) ?? '')]),
        };
      default:
        return this.#label(path);
    }
  }

  #label([variable, , label = '']: readonly string[]): { readonly known: readonly Expr[]; readonly is: (value: string) => Expr } {
    const labels = this.#context.labels ?? { destination: {}, sources: {} };
    if (variable === 'destination') {
      const own = Object.hasOwn(labels.destination, label) ? labels.destination[label] : undefined;
      return { known: [truth(own !== undefined)], is: (value) => truth(own === value) };
    }
    const ids = (fits: (value: string) => boolean): Expr => {
      const of = Object.entries(labels.sources).filter(([, own]) => Object.hasOwn(own, label) && fits(own[label] ?? ''));
      return callTo(IN, [identity(), list(of.map(([id]) => text(id)))]);
    };
    return { known: [ids(() => true)], is: (value) => ids((own) => own === value) };
  }

  #value(node: ConditionSyntax, guards: Expr[]): Expr {
    const { exprKind } = node;
    const path = pathOf(node);
    if (path !== undefined) return this.#attribute(path, guards);
    switch (exprKind.case) {
      case 'constExpr':
        return this.#constant(exprKind.value);
      case 'listExpr':
        return list(exprKind.value.elements.map((element) => this.#value(element, guards)));
      case 'callExpr':
        return this.#call(exprKind.value, guards);
      default:
        return this.#cannot(exprKind.case === 'comprehensionExpr' ? 'a macro' : 'an expression of this kind');
    }
  }

  #call({ function: name, target, args }: Call, guards: Expr[]): Expr {
    const isFunction = FUNCTIONS.includes(name);
    if (!isFunction && !COMPARISONS.includes(name) && !ARITHMETIC.includes(name) && name !== IN) return this.#cannot(`"${name}" here`);
    if (name === 'matches') this.#checkPattern(args.at(-1));
    // Of a claim nobody knows whether it is a text, and Envoy would not deny where it is none.
    const parts = [...(target === undefined ? [] : [target]), ...args];
    const mayFail = name !== EQUAL && name !== UNEQUAL && parts.some((part) => pathOf(part)?.[0] === 'claims');
    if (mayFail && this.#context.denies) return this.#cannot(`"${name}" of a claim in a rule that denies`);
    return callTo(
      name,
      args.map((part) => this.#value(part, guards)),
      target === undefined ? undefined : this.#value(target, guards),
    );
  }

  /** Envoy refuses all routes for one pattern that is too large for it. */
  #checkPattern(pattern: ConditionSyntax | undefined): void {
    const regex = pattern === undefined ? '' : this.#textOf(pattern);
    if (regex.length > PATTERN_LENGTH_MAX || /\\[pP]|\{\d/.test(regex)) this.#cannot('a regular expression of this size in a condition');
  }

  #attribute(path: readonly string[], guards: Expr[]): Expr {
    const [variable, field = '', header = ''] = path;
    const name = path.join('.');
    if (variable === 'claims' && path.length > 1) {
      guards.push(...claimGuards(path.slice(1)));
      return claim(path.slice(1));
    }
    if (name === 'source.identity') return identity();
    if (variable === 'request' && field === 'headers' && path.length === 3) {
      const key = text(header.toLowerCase());
      guards.push(callTo(IN, [key, request('headers')]));
      return callTo(INDEX, [request('headers'), key]);
    }
    const own = variable === 'request' && path.length === 2 ? REQUEST[field] : undefined;
    if (own === undefined) return this.#cannot(derivedNames.has(`${variable}.${field}`) ? `${name} but by ==, != and in with texts` : name);
    if (field === 'path') guards.push(...PATH_GUARDS);
    return request(own);
  }

  #constant({ constantKind }: Kind<'constExpr'>): Expr {
    switch (constantKind.case) {
      case 'stringValue':
        return text(constantKind.value);
      case 'boolValue':
        return truth(constantKind.value);
      case 'doubleValue':
        return constant({ $case: 'doubleValue', value: constantKind.value });
      case 'int64Value': {
        const value = Number(constantKind.value);
        return Number.isSafeInteger(value) ? constant({ $case: 'int64Value', value }) : this.#cannot(`${constantKind.value}`);
      }
      default:
        return this.#cannot('a constant of this kind');
    }
  }

  #textOf(node: ConditionSyntax): string {
    const { exprKind } = node;
    const kind = exprKind.case === 'constExpr' ? exprKind.value.constantKind : undefined;
    return kind?.case === 'stringValue' ? kind.value : this.#cannot('a comparison with something that is no text');
  }

  #cannot(what: string): never {
    return this.#at.reject(`Envoy has no words for ${what}`);
  }
}

/** What Envoy has in another form than ours. */
const derivedNames = new Set(['source.namespace', 'source.service', 'request.host', 'token.issuer', 'source.labels', 'destination.labels']);

function derived(node: ConditionSyntax): boolean {
  const path = pathOf(node);
  if (path === undefined) return false;
  const isLabel = path[1] === 'labels';
  return path.length === (isLabel ? 3 : 2) && derivedNames.has(path.slice(0, 2).join('.'));
}

function callOf({ exprKind }: ConditionSyntax): Call | undefined {
  return exprKind.case === 'callExpr' ? exprKind.value : undefined;
}

function listOf({ exprKind }: ConditionSyntax): readonly ConditionSyntax[] | undefined {
  return exprKind.case === 'listExpr' ? exprKind.value.elements : undefined;
}

/** `request.headers["x-a"]` as `['request', 'headers', 'x-a']`; undefined for what is no such path, or asks whether it is there. */
function pathOf(node: ConditionSyntax | undefined): readonly string[] | undefined {
  if (node === undefined) return undefined;
  const { exprKind } = node;
  if (exprKind.case === 'identExpr') return [exprKind.value.name];
  if (exprKind.case === 'selectExpr' && !exprKind.value.testOnly) {
    const outer = pathOf(exprKind.value.operand);
    return outer === undefined ? undefined : [...outer, exprKind.value.field];
  }
  const call = callOf(node);
  const [map, key] = call?.function === INDEX ? call.args : [];
  const outer = pathOf(map);
  const kind = key?.exprKind.case === 'constExpr' ? key.exprKind.value.constantKind : undefined;
  return outer === undefined || kind?.case !== 'stringValue' ? undefined : [...outer, kind.value];
}

/** That it is known what servers will take the path for. */
const PATH_GUARDS: readonly Expr[] = [
  callTo('matches', [text(`^(?:${UNDERSTOOD})$`)], request('url_path')),
  not(callTo('matches', [text(ENCODED_TWICE)], request('url_path'))),
  not(callTo('startsWith', [text(SLASHES_ALONE)], request('url_path'))),
];

/** That there is a token, and in it the claim with everything around it. */
function claimGuards(path: readonly string[]): Expr[] {
  const filters = select(ident('metadata'), 'filter_metadata');
  const inside = path.map((name, index) => callTo(IN, [text(name), claim(path.slice(0, index))]));
  return [callTo(IN, [text(TOKEN_FILTER), filters]), ...inside];
}

function claim(path: readonly string[]): Expr {
  const filters = select(ident('metadata'), 'filter_metadata');
  return [TOKEN_FILTER, CLAIMS_KEY, ...path].reduce((map, name) => callTo(INDEX, [map, text(name)]), filters);
}

/** Empty where nothing was proven. */
function identity(): Expr {
  const own = { operand: ident('connection'), field: 'uri_san_peer_certificate' };
  return callTo('_?_:_', [
    { exprKind: { $case: 'selectExpr', value: { ...own, testOnly: true } } },
    { exprKind: { $case: 'selectExpr', value: own } },
    text(''),
  ]);
}

function request(field: string): Expr {
  return select(ident('request'), field);
}

function ident(name: string): Expr {
  return { exprKind: { $case: 'identExpr', value: { name } } };
}

function select(operand: Expr, field: string): Expr {
  return { exprKind: { $case: 'selectExpr', value: { operand, field } } };
}

function callTo(name: string, args: Expr[], target?: Expr): Expr {
  return { exprKind: { $case: 'callExpr', value: { function: name, args, ...(target !== undefined && { target }) } } };
}

function list(elements: Expr[]): Expr {
  return { exprKind: { $case: 'listExpr', value: { elements } } };
}

type ConstantKind = NonNullable<Extract<NonNullable<Expr['exprKind']>, { $case: 'constExpr' }>['value']['constantKind']>;

function constant(constantKind: ConstantKind): Expr {
  return { exprKind: { $case: 'constExpr', value: { constantKind } } };
}

function text(value: string): Expr {
  return constant({ $case: 'stringValue', value });
}

function truth(value: boolean): Expr {
  return constant({ $case: 'boolValue', value });
}

function not(expression: Expr): Expr {
  return callTo(NOT, [expression]);
}

function and(parts: readonly Expr[]): Expr {
  return parts.length === 0 ? truth(true) : parts.reduce((all, part) => callTo(AND, [all, part]));
}

function or(parts: readonly Expr[]): Expr {
  return parts.length === 0 ? truth(false) : parts.reduce((all, part) => callTo(OR, [all, part]));
}
