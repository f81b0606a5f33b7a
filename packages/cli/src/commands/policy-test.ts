// `heddle policy test`: does what the rules of a mesh file say agree with a table of cases? The same engine decides as in the data planes; nothing
// is sent, and nothing needs to run.
import { readFileSync } from 'node:fs';
import { accessPolicyOf, AccessExplainer, PlainRequest, serviceHostnames, serviceKey } from '@heddle/core';
import type { AccessExplanation, AccessView, MeshConfig, MtlsMode, ServiceRef, VerifiedToken } from '@heddle/core';
import { type AccessCase, type ExpectedAccess, parseAccessCases } from '@heddle/core/config';
import { compileCondition } from '@heddle/core/cel';
import { CliError, type ExitCode } from '../errors.ts';
import { accept, loadMesh } from '../mesh-file.ts';
import { type Column, formatData, formatTable } from '../output/format.ts';
import type { OutputFormat } from '../output/formats.ts';
import { type Palette, paletteFor } from '../output/palette.ts';

export interface PolicyTestOptions {
  readonly file: string;
  readonly output: OutputFormat;
}

interface TestedCase {
  readonly name: string;
  readonly line: number;
  readonly from: string;
  readonly to: string;
  readonly request: string;
  readonly expected: ExpectedAccess;
  readonly got: ExpectedAccess;
  /** Undefined: any was expected. */
  readonly expectedRule?: string;
  /** Empty: the default, or what goes before all rules. */
  readonly rule: string;
  readonly agrees: boolean;
  /** What decided. */
  readonly reason: string;
  /** Of rules that do not fit, why. */
  readonly rules: readonly string[];
  /** Rules that only watch, and fit. */
  readonly audited: readonly string[];
}

export async function policyTest(casesFile: string, { file, output }: PolicyTestOptions): Promise<ExitCode> {
  const mesh = await loadMesh(file, (text) => process.stderr.write(`${text}\n`));
  const text = readCases(casesFile);
  const { cases, problems } = parseAccessCases(text, casesFile, mesh);
  const accepted = accept(casesFile, text, cases, problems, (warning) => process.stderr.write(`${warning}\n`));
  const tested = testCases(mesh, accepted, Date.now());
  const different = tested.filter(({ agrees }) => !agrees);
  if (output === 'table') process.stdout.write(report(casesFile, tested, mesh, paletteFor(process.stdout, process.env)));
  else process.stdout.write(formatData({ passed: tested.length - different.length, failed: different.length, cases: tested }, output));
  return different.length === 0 ? 0 : 1;
}

export function testCases(mesh: MeshConfig, cases: readonly AccessCase[], nowMs: number): TestedCase[] {
  const judge = new Judge(mesh, nowMs);
  return cases.map((one) => judge.test(one));
}

function readCases(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : (error as Error).message;
    throw new CliError(`the file of cases ${path} cannot be read: ${reason}`, 'see `heddle policy test --help`', { cause: error });
  }
}

/** Where a case says nothing. */
const ADDRESS = '127.0.0.1';

class Judge {
  private readonly mesh: MeshConfig;
  private readonly nowMs: number;
  /** By service; undefined: it has no policy. */
  private readonly explainers = new Map<string, AccessExplainer | undefined>();

  constructor(mesh: MeshConfig, nowMs: number) {
    this.mesh = mesh;
    this.nowMs = nowMs;
  }

  test(one: AccessCase): TestedCase {
    const { name, line, from, to, expect, rule: expectedRule } = one;
    const outcome = this.outcome(one);
    const agrees = outcome.got === expect && (expectedRule === undefined || expectedRule === outcome.rule);
    return {
      name,
      line,
      from,
      to: to.namespace === 'default' ? to.name : serviceKey(to),
      request: one.isStream ? 'a stream of bytes' : `${one.method} ${one.path}`,
      expected: expect,
      got: outcome.got,
      ...(expectedRule !== undefined && { expectedRule }),
      rule: outcome.rule,
      agrees,
      reason: outcome.reason,
      rules: outcome.rules,
      audited: outcome.audited,
    };
  }

  private outcome(one: AccessCase): Pick<TestedCase, 'got' | 'rule' | 'reason' | 'rules' | 'audited'> {
    const without = { rule: '', rules: [], audited: [] };
    const identity = this.mtlsOf(one.to) === 'off' ? '' : one.identity;
    if (identity !== '' && this.mesh.security.denied.includes(identity))
      return { ...without, got: 'deny', reason: `${identity} is in \`deny\`, and gets no connection` };
    const explainer = this.explainerOf(one.to);
    if (explainer === undefined) return { ...without, got: 'allow', reason: 'no rule is for the service, and the default is allow' };
    const { decision, reason, rules, token } = explainer.explain(new CaseView(one, identity, this.nowMs));
    const got = decision.allowed ? 'allow' : decision.code === 'TOKEN_REQUIRED' ? '401' : 'deny';
    return {
      got,
      rule: decision.rule,
      reason: token === '' ? reason : `${reason}; ${token}`,
      rules: rules.flatMap(misfit),
      audited: decision.audited.map((note) => note.rule),
    };
  }

  private explainerOf(ref: ServiceRef): AccessExplainer | undefined {
    const key = serviceKey(ref);
    if (!this.explainers.has(key)) this.explainers.set(key, this.explainer(ref));
    return this.explainers.get(key);
  }

  private explainer(ref: ServiceRef): AccessExplainer | undefined {
    const services = this.mesh.services.map(({ service }) => service);
    const service = services.find((one) => serviceKey(one) === serviceKey(ref));
    const policy = service && accessPolicyOf(this.mesh.security, service, services, this.mesh.trustDomain);
    if (policy === undefined) return undefined;
    // What a policy that only watches would refuse is what is asked here.
    const { audit: _, ...enforced } = policy;
    return new AccessExplainer(enforced, { conditions: compileCondition, destination: ref });
  }

  private mtlsOf(ref: ServiceRef): MtlsMode {
    const found = this.mesh.services.find(({ service }) => serviceKey(service) === serviceKey(ref));
    return found?.service.mtls ?? this.mesh.security.mtls;
  }
}

function misfit({ name, effect, audit, fits, why }: AccessExplanation['rules'][number]): string[] {
  return fits ? [] : [`${effect} rule "${name}"${audit ? ', which only watches,' : ''} does not fit because ${why}`];
}

class CaseView extends PlainRequest implements AccessView {
  readonly peerAddress: string;
  readonly claims: VerifiedToken | undefined;
  readonly isStream: boolean;
  readonly nowMs: number;

  constructor(
    { method, path, host, headers, token, address = ADDRESS, timeMs, isStream, to }: AccessCase,
    identity: string,
    nowMs: number,
  ) {
    const authority = host ?? serviceHostnames(to)[0] ?? to.name;
    super({ method, path, authority, headers, sourceAddress: address, sourceIdentity: identity });
    this.peerAddress = address;
    this.claims = token;
    this.isStream = isStream;
    this.nowMs = timeMs ?? nowMs;
  }
}

/** How many rules are named below a case that came out otherwise. */
const RULES_SHOWN_MAX = 5;

export function report(file: string, cases: readonly TestedCase[], mesh: MeshConfig, palette: Palette): string {
  const different = cases.filter(({ agrees }) => !agrees);
  const notes = [
    ...(mesh.security.access.audit === true
      ? ['The policy only watches (`audit: true`): what it would refuse counts as refused here.']
      : []),
    ...(mesh.security.access.external === undefined ? [] : ['The authorizer is not asked: it could refuse what is allowed here.']),
  ];
  const total = `${cases.length} ${cases.length === 1 ? 'case' : 'cases'}`;
  const summary =
    different.length === 0 ? palette.good(`${total}, all as expected`) : palette.bad(`${different.length} of ${total} came out otherwise`);
  return [
    formatTable(columns(palette), cases, palette),
    ...different.map((one) => `\n${difference(file, one)}`),
    ...['', ...notes, summary, ''].join('\n'),
  ].join('');
}

function columns(palette: Palette): readonly Column<TestedCase>[] {
  return [
    { title: '', cell: ({ agrees }) => (agrees ? palette.good('ok') : palette.bad('differs')) },
    { title: 'CASE', cell: ({ name }) => name },
    { title: 'FROM', cell: ({ from }) => from },
    { title: 'TO', cell: ({ to }) => to },
    { title: 'REQUEST', cell: ({ request }) => request },
    { title: 'EXPECTED', cell: ({ expected }) => expected },
    { title: 'GOT', cell: ({ got }) => got },
    { title: 'BY', cell: ({ rule }) => (rule === '' ? palette.dim('default') : rule) },
  ];
}

function difference(file: string, { line, name, expected, expectedRule, got, reason, rules }: TestedCase): string {
  const wanted = expectedRule === undefined ? expected : `${expected} by ${expectedRule === '' ? 'the default' : `rule "${expectedRule}"`}`;
  const more = rules.length > RULES_SHOWN_MAX ? [`… and ${rules.length - RULES_SHOWN_MAX} more rules do not fit`] : [];
  const lines = [reason, ...rules.slice(0, RULES_SHOWN_MAX), ...more].map((text) => `    ${text}`);
  return [`${file}:${line}: "${name}": expected ${wanted}, got ${got}`, ...lines, ''].join('\n');
}
