// The file of `heddle policy test`: requests that are made up, and what the rules of a mesh should say to each. From text to cases whose words are
// those of the mesh, or every problem at once. Pure; never throws.
import { z } from 'zod';
import type { JsonObject } from '../authn/unique-json.ts';
import { ipBytes } from '../identity/ip.ts';
import { formatSpiffeId, parseSpiffeId } from '../identity/spiffe.ts';
import type { ServiceRef } from '../model/service.ts';
import { DEFAULT_NAMESPACE, SYSTEM_NAMESPACE } from '../model/service.ts';
import { textAt, type TextOf } from './build/values.ts';
import type { Fault, Path } from './fault.ts';
import { shown } from './fault.ts';
import type { MeshConfig } from './mesh.ts';
import type { Problem } from './problem.ts';
import type { FileKind } from './read-file.ts';
import { readConfigFile, withFaults } from './read-file.ts';
import { EXPECTED, field, flag, HEADER_VALUE_PATTERN, NO_NUL, NOT_BLANK, text, TOKEN_PATTERN } from './schema/fields.ts';
import { listed, nearest } from './suggest.ts';

/** 401: refused, and with a token it may be allowed. */
export type ExpectedAccess = 'allow' | 'deny' | '401';

export interface AccessCase {
  readonly name: string;
  /** Of the file, from 1. */
  readonly line: number;
  /** As it was written. */
  readonly from: string;
  /** SPIFFE id; empty: nobody in particular. */
  readonly identity: string;
  readonly to: ServiceRef;
  readonly method: string;
  /** As it would be sent, with its query. */
  readonly path: string;
  /** Undefined: a name of the service. */
  readonly host?: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly token?: { readonly issuer: string; readonly claims: JsonObject };
  /** Undefined: this machine. */
  readonly address?: string;
  /** Undefined: now. Milliseconds since 1970. */
  readonly timeMs?: number;
  readonly isStream: boolean;
  readonly expect: ExpectedAccess;
  /** Empty: the default must decide. Undefined: whichever rule. */
  readonly rule?: string;
}

export interface ParsedAccessCases {
  /** Absent when there is an error. */
  readonly cases?: readonly AccessCase[];
  /** In the order of the file. */
  readonly problems: readonly Problem[];
}

const CASES_MAX = 10_000;
const headerText = z.union([z.string().regex(HEADER_VALUE_PATTERN), z.number(), z.boolean()]);

const oneCase = z
  .strictObject({
    name: text('a name', NOT_BLANK, { description: 'In the result.', examples: ['web reads orders'] }),
    from: text('a service, "operator", "anyone" or a SPIFFE id', NO_NUL, { description: 'Who calls.', examples: ['web'] }),
    to: text('the name of a service', NO_NUL, { description: 'Which service is called.', examples: ['orders'] }),
    method: text('a method', TOKEN_PATTERN, { description: 'Of the request.', examples: ['GET'] }).optional(),
    path: text('a path as it would be sent', NOT_BLANK, { description: 'With its query.', examples: ['/orders/1?full=1'] }).optional(),
    host: text('a host, with or without a port', /^[\x21-\x7e]+$/, {
      description: 'By which it is called.',
      examples: ['orders'],
    }).optional(),
    headers: field(
      z.record(z.string().regex(TOKEN_PATTERN), z.union([headerText, z.array(headerText).min(1)])),
      'a map of headers, each with a value or a list of lines',
      { description: 'Of the request.', examples: [{ 'x-user': 'ann' }] },
    ).optional(),
    issuer: text('the name of an issuer', NO_NUL, { description: 'Whose token comes along.', examples: ['login'] }).optional(),
    claims: field(z.record(z.string(), z.json()), 'a map of claims', {
      description: 'What the token says. It counts as valid.',
      examples: [{ groups: ['staff'] }],
    }).optional(),
    address: text('an IP address', NO_NUL, { description: 'Of the connection.', examples: ['10.0.0.7'] }).optional(),
    time: text('a time such as 2026-03-01T12:00:00Z', NO_NUL, { description: 'When.', examples: ['2026-03-01T12:00:00Z'] }).optional(),
    stream: flag({ description: 'A stream of bytes, in place of a request.', examples: [true] }).optional(),
    expect: field(z.union([z.enum(['allow', 'deny', '401']), z.literal(401)]), 'one of "allow", "deny", 401', {
      description: 'What the rules should say. 401: refused for want of a token.',
      examples: ['allow'],
    }),
    rule: field(z.string().regex(NO_NUL), 'the name of a rule, or "" for the default', {
      description: 'Which rule should decide.',
      examples: ['admins'],
    }).optional(),
  })
  .register(EXPECTED, { expected: 'a map such as { name: web reads, from: web, to: orders, expect: allow }' });

const CasesFile = z
  .strictObject({
    cases: field(z.array(oneCase).min(1).max(CASES_MAX), `a list of 1 to ${CASES_MAX} cases`, {
      description: 'Requests, and what should become of them.',
      examples: [[{ name: 'web reads', from: 'web', to: 'orders', expect: 'allow' }]],
    }),
  })
  .register(EXPECTED, { expected: 'a map with cases' });

type CaseOutput = z.output<typeof oneCase>;

const EXAMPLE = 'cases: [{ name: web reads orders, from: web, to: orders, path: /orders/1, expect: allow }]';
const CASES_FILE: FileKind<typeof CasesFile> = {
  schema: CasesFile,
  planned: {
    keys: {},
    values: {},
    elsewhere: { 'cases.*.token': 'write what it says: "issuer: NAME" and "claims: { … }"', security: 'rules stand in the mesh file' },
  },
  checkMeaning: () => [],
  whenEmpty: `write for example "${EXAMPLE}"`,
  whenLarge: 'split it into several files',
};

/** @param path the file's name, for messages. */
export function parseAccessCases(text: string, path: string, mesh: MeshConfig): ParsedAccessCases {
  const { output, source, problems: read } = readConfigFile(CASES_FILE, text, path);
  if (output === undefined) return { problems: read };
  const reader = new CaseReader(mesh, source.textOf);
  const cases = output.cases.map((input, index) => reader.read(input, ['cases', index], source.placeOf(['cases', index], 'value').line));
  const problems = withFaults(read, reader.faults, source, path);
  return problems.some(({ severity }) => severity === 'error') ? { problems } : { cases, problems };
}

class CaseReader {
  readonly faults: Fault[] = [];
  private readonly mesh: MeshConfig;
  private readonly textOf: TextOf;
  private readonly names = new Set<string>();

  constructor(mesh: MeshConfig, textOf: TextOf) {
    this.mesh = mesh;
    this.textOf = textOf;
  }

  read(input: CaseOutput, path: Path, line: number): AccessCase {
    const { name, from, address, time, host, rule, method, path: asked, headers } = input;
    if (this.names.has(name)) this.fault([...path, 'name'], `the name ${shown(name)} is that of an earlier case too`, 'give each its own');
    this.names.add(name);
    if (address !== undefined && ipBytes(address) === undefined)
      this.fault([...path, 'address'], `${shown(address)} is not an IP address`, 'write one as "10.0.0.7"');
    const isStream = input.stream === true;
    if (isStream)
      for (const key of (['method', 'path', 'host', 'headers'] as const).filter((one) => input[one] !== undefined))
        this.fault([...path, key], 'has no effect: a stream of bytes has none', 'remove it, or "stream"');
    const to = this.service(input.to, [...path, 'to']);
    if (rule !== undefined) this.checkRule(rule, [...path, 'rule']);
    const token = this.token(input, path);
    return {
      name,
      line,
      from,
      identity: this.identity(from, [...path, 'from']),
      to,
      method: method ?? 'GET',
      path: isStream ? '' : (asked ?? '/'),
      ...(host !== undefined && { host }),
      headers: Object.entries(headers ?? {}).flatMap(([header, value]) => this.lines(header, value, [...path, 'headers', header])),
      ...(token && { token }),
      ...(address !== undefined && { address }),
      ...(time !== undefined && { timeMs: this.time(time, [...path, 'time']) }),
      isStream,
      expect: String(input.expect) as ExpectedAccess,
      ...(rule !== undefined && { rule }),
    };
  }

  private fault(path: Path, reason: string, mend: string): void {
    this.faults.push({ path, on: 'value', reason, mend });
  }

  private lines(name: string, value: NonNullable<CaseOutput['headers']>[string], path: Path): (readonly [string, string])[] {
    if (!Array.isArray(value)) return [[name, textAt(value, this.textOf, path)]];
    return value.map((line, index) => [name, textAt(line, this.textOf, [...path, index])]);
  }

  private service(written: string, path: Path): ServiceRef {
    const ref = refOf(written);
    const known = this.mesh.services.map(({ service }) => service);
    if (!known.some((one) => one.namespace === ref.namespace && one.name === ref.name)) this.unknownService(written, path);
    return ref;
  }

  private unknownService(written: string, path: Path): void {
    const names = this.mesh.services.map(({ service: { namespace, name } }) =>
      namespace === DEFAULT_NAMESPACE ? name : `${namespace}/${name}`,
    );
    const meant = nearest(written, names);
    this.fault(
      path,
      `there is no service ${shown(written)} in the mesh file`,
      meant === undefined ? `use ${listed(names)}` : `did you mean "${meant}"?`,
    );
  }

  /** Services of other namespaces need not be known: they join by themselves. */
  private identity(from: string, path: Path): string {
    const { trustDomain } = this.mesh;
    if (from === 'anyone') return '';
    if (from === 'operator') return formatSpiffeId({ trustDomain, namespace: SYSTEM_NAMESPACE, name: 'operator' });
    if (from.startsWith('spiffe://')) {
      const id = parseSpiffeId(from);
      if (id === undefined)
        this.fault(path, `${shown(from)} is not an identity of a mesh`, 'write it as "spiffe://TRUST-DOMAIN/ns/NAMESPACE/svc/SERVICE"');
      else if (id.trustDomain !== trustDomain)
        this.fault(path, `${shown(from)} is of another trust domain, and gets no connection`, `the mesh is "spiffe://${trustDomain}"`);
      return from;
    }
    const ref = from.startsWith(`${DEFAULT_NAMESPACE}/`) || !from.includes('/') ? this.service(from, path) : refOf(from);
    const identity = formatSpiffeId({ trustDomain, ...ref });
    if (parseSpiffeId(identity) === undefined)
      this.fault(path, `${shown(from)} is not the name of a service`, 'write "web" or "NAMESPACE/web"');
    return identity;
  }

  private token({ issuer, claims }: CaseOutput, path: Path): AccessCase['token'] {
    if (issuer === undefined && claims === undefined) return undefined;
    const names = this.mesh.security.issuers.map(({ name }) => name);
    const of = issuer ?? (names.length === 1 ? names[0] : undefined);
    if (of === undefined)
      this.fault(
        [...path, 'claims'],
        names.length === 0 ? 'are of a token, and the mesh file has no issuers' : 'do not say whose token they are of',
        names.length === 0 ? 'add "issuers" to "security" of the mesh file' : `add "issuer: NAME" with ${listed(names)}`,
      );
    else if (!names.includes(of)) {
      const meant = nearest(of, names);
      this.fault(
        [...path, 'issuer'],
        `there is no issuer ${shown(of)} in the mesh file`,
        meant === undefined ? 'add it to "issuers" of "security"' : `did you mean "${meant}"?`,
      );
    }
    return { issuer: of ?? '', claims: (claims ?? {}) as JsonObject };
  }

  private checkRule(rule: string, path: Path): void {
    const names = this.mesh.security.access.rules.map(({ name }) => name);
    if (rule === '' || names.includes(rule)) return;
    const meant = nearest(rule, names);
    this.fault(
      path,
      `there is no rule ${shown(rule)} in the mesh file`,
      meant === undefined ? 'write "" for the default' : `did you mean "${meant}"?`,
    );
  }

  private time(written: string, path: Path): number {
    const ms = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)$/.test(written) ? Date.parse(written) : Number.NaN;
    if (Number.isNaN(ms)) this.fault(path, `${shown(written)} is not a time`, 'write it with its zone, as "2026-03-01T12:00:00Z"');
    return ms;
  }
}

function refOf(written: string): ServiceRef {
  const slash = written.indexOf('/');
  return slash === -1
    ? { namespace: DEFAULT_NAMESPACE, name: written }
    : { namespace: written.slice(0, slash), name: written.slice(slash + 1) };
}
