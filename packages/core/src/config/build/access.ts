// From `security.access` to rules about identities, tokens and requests. A role with permissions becomes rules of its own.
import { formatSpiffeId } from '../../identity/spiffe.ts';
import type { AccessConfig, AccessTarget, ClaimMatch, IdentityMatch, Permission, Subject, TokenMatch } from '../../model/security.ts';
import { DEFAULT_NAMESPACE, SYSTEM_NAMESPACE } from '../../model/service.ts';
import type { ServiceRef } from '../../model/service.ts';
import type { Path } from '../fault.ts';
import type { AccessOutput, AccessRuleOutput, RoleOutput, TargetOutput, WhoOutput } from '../schema/access.ts';
import { parseSize } from '../size.ts';
import { buildAuthority, buildHeaderMatches, buildPathMatch, grpcPath } from './match.ts';
import { ruleName } from './rules.ts';
import { both, partsOf, SUBJECT_PARTS_MAX, together } from './subjects.ts';
import { listAt, milliseconds, type TextOf } from './values.ts';

export const EVERY_SERVICE = '*';
const PERMISSION_KEYS = ['methods', 'paths', 'grpc', 'hosts', 'headers'] as const;

/** An issuer, as rules need it. */
export interface IssuerClaims {
  readonly name: string;
  readonly roles: readonly string[];
  readonly groups: readonly string[];
}

export interface AccessScope {
  readonly trustDomain: string;
  readonly issuers: readonly IssuerClaims[];
  readonly textOf: TextOf;
}

type Rule = AccessConfig['rules'][number];

/** @param path of `access`. */
export function buildAccess(input: AccessOutput, scope: AccessScope, path: Path): AccessConfig {
  const builder = new AccessBuilder(input, scope, path);
  const { authorizer } = input;
  return {
    default: input.default,
    ...(input.audit && { audit: true }),
    rules: builder.rules(),
    ...(authorizer && {
      external: {
        service: serviceNamed(authorizer.service),
        timeoutMs: milliseconds(authorizer.timeout),
        failOpen: authorizer.failOpen,
        bodyBytesMax: parseSize(authorizer.body) as number,
      },
    }),
  };
}

/** `orders`, or `shop/orders`. */
export function serviceNamed(text: string): ServiceRef {
  const slash = text.indexOf('/');
  return slash === -1 ? { namespace: DEFAULT_NAMESPACE, name: text } : { namespace: text.slice(0, slash), name: text.slice(slash + 1) };
}

/** Dots lead into maps. A URL, as issuers name claims of their own (RFC 7519 §4.2), is one name. */
export function claimPathOf(written: string | readonly string[]): readonly string[] {
  if (typeof written !== 'string') return [...written];
  return written.includes('://') ? [written] : written.split('.');
}

/** Where each of the built rules stands in the file, in their order; roles give one for each target. @param path of `access`. */
export function placesOf(input: AccessOutput, path: Path): Path[] {
  const rules = input.rules.map((_, index): Path => [...path, 'rules', index]);
  const roles = Object.entries(input.roles).flatMap(([name, role]) =>
    [...targetsOf(role)].map((): Path => [...path, 'roles', name, 'permissions']),
  );
  return [...rules, ...roles];
}

/** What the permissions of a role are for, each once, by a name for people; with the places of these permissions. */
function targetsOf({ permissions = [] }: RoleOutput): Map<string, { readonly target: TargetOutput; readonly indices: number[] }> {
  const targets = new Map<string, { readonly target: TargetOutput; readonly indices: number[] }>();
  permissions.forEach(({ to }, index) => {
    for (const { item } of listAt<TargetOutput>(to, [])) {
      const name = targetName(item);
      const known = targets.get(name);
      if (known === undefined) targets.set(name, { target: item, indices: [index] });
      else if (!known.indices.includes(index)) known.indices.push(index);
    }
  });
  return targets;
}

function targetName(written: TargetOutput): string {
  const target = buildTarget(written);
  if (target === undefined) return 'all services';
  if (target.kind === 'namespace') return `namespace ${target.namespace}`;
  const { namespace, name } = target.service;
  return namespace === DEFAULT_NAMESPACE ? name : `${namespace}/${name}`;
}

/** Undefined: every service. */
function buildTarget(written: TargetOutput): AccessTarget | undefined {
  if (written === EVERY_SERVICE) return undefined;
  if (typeof written === 'string') return { kind: 'service', service: serviceNamed(written) };
  const { service, namespace } = written;
  if (service === undefined) return { kind: 'namespace', namespace: namespace as string };
  return { kind: 'service', service: namespace === undefined ? serviceNamed(service) : { namespace, name: service } };
}

class AccessBuilder {
  readonly #input: AccessOutput;
  readonly #scope: AccessScope;
  readonly #path: Path;
  readonly #members = new Map<string, readonly Subject[]>();

  constructor(input: AccessOutput, scope: AccessScope, path: Path) {
    this.#input = input;
    this.#scope = scope;
    this.#path = path;
    for (const [name, { members }] of Object.entries(input.roles))
      this.#members.set(name, together(listAt<WhoOutput>(members, []).flatMap(({ item }) => this.#subjectsOf(item))));
  }

  rules(): Rule[] {
    return [
      ...this.#input.rules.map((rule, index) => this.#rule(rule, index)),
      ...Object.entries(this.#input.roles).flatMap(([name, role]) => this.#roleRules(name, role)),
    ];
  }

  #rule(rule: AccessRuleOutput, index: number): Rule {
    const permission = this.#permission(rule, [...this.#path, 'rules', index]);
    const from = listAt<WhoOutput>(rule.from, []).flatMap(({ item }) => this.#subjectsOf(item));
    return {
      name: ruleName(rule.name, index),
      effect: rule.effect,
      ...(rule.audit && { audit: true }),
      subjects: this.#combined(rule.from === undefined ? [{}] : together(from), together(this.#proofs(rule))),
      permissions: permission === undefined ? [] : [permission],
      ...(rule.when !== undefined && { when: rule.when }),
      to: targets(listAt<TargetOutput>(rule.to, []).map(({ item }) => item)),
    };
  }

  #combined(from: readonly Subject[], proofs: readonly Subject[]): Subject[] {
    return partsOf(proofs) > SUBJECT_PARTS_MAX ? [...proofs] : together(both(from, proofs));
  }

  /** What a rule asks for besides `from`. */
  #proofs(rule: AccessRuleOutput): Subject[] {
    if (rule.roles === undefined) return this.#tokens(rule, []);
    const names = listAt<string>(rule.roles, []).map(({ item }) => item);
    const members = together(names.flatMap((name) => this.#members.get(name) ?? []));
    // Too many in any case, which is told later.
    if (partsOf(members) > SUBJECT_PARTS_MAX) return members;
    const ofToken = names.filter((name) => !this.#members.has(name));
    return [...both(members, this.#tokens(rule, [])), ...(ofToken.length === 0 ? [] : this.#tokens(rule, ofToken))];
  }

  #roleRules(name: string, role: RoleOutput): Rule[] {
    const all = targetsOf(role);
    return [...all].map(([target, { target: written, indices }]): Rule => {
      const permissions = indices.map((index) =>
        this.#permission(role.permissions?.[index] ?? {}, [...this.#path, 'roles', name, 'permissions', index]),
      );
      const given = permissions.filter((permission) => permission !== undefined);
      return {
        name: all.size === 1 ? `role ${name}` : `role ${name} to ${target}`,
        effect: 'allow',
        subjects: this.#members.get(name) ?? [],
        // One that asks for nothing is for every request.
        permissions: given.length < permissions.length ? [] : given,
        to: targets([written]),
      };
    });
  }

  #subjectsOf(who: WhoOutput): Subject[] {
    if (who === 'anyone') return [{}];
    if (who === 'mesh') return [{ identities: [{ kind: 'any' }] }];
    if (who === 'operator') return [{ identities: [this.#exact({ namespace: SYSTEM_NAMESPACE, name: 'operator' })] }];
    if (typeof who === 'string') return [{ identities: [this.#exact(serviceNamed(who))] }];
    const identity = this.#identity(who);
    const roles = listAt<string>(who.roles, []).map(({ item }) => item);
    const place: Subject = {
      ...(identity && { identities: [identity] }),
      ...(who.network !== undefined && { networks: [who.network] }),
    };
    return both([place], this.#tokens(who, roles));
  }

  #exact({ namespace, name }: ServiceRef): IdentityMatch {
    return { kind: 'exact', id: formatSpiffeId({ trustDomain: this.#scope.trustDomain, namespace, name }) };
  }

  #identity({ service, namespace, identity }: Exclude<WhoOutput, string>): IdentityMatch | undefined {
    if (identity?.endsWith('/*')) return { kind: 'prefix', prefix: identity.slice(0, -1) };
    if (identity !== undefined) return { kind: 'exact', id: identity };
    if (service !== undefined) return this.#exact(namespace === undefined ? serviceNamed(service) : { namespace, name: service });
    return namespace === undefined ? undefined : { kind: 'prefix', prefix: `spiffe://${this.#scope.trustDomain}/ns/${namespace}/` };
  }

  /** One for all issuers that have groups and roles in the same claims. */
  #tokens({ jwt, claims, groups }: Pick<AccessRuleOutput, 'jwt' | 'claims' | 'groups'>, roles: readonly string[]): Subject[] {
    const wantedGroups = listAt<string>(groups, []).map(({ item }) => item);
    if (jwt === undefined && claims === undefined && wantedGroups.length === 0 && roles.length === 0) return [{}];
    const named = listAt<string>(jwt, []).map(({ item }) => item);
    const issuers = this.#scope.issuers.filter(({ name }) => jwt === undefined || named.includes(name));
    const said = Object.entries(claims ?? {}).map(
      ([claim, values]): ClaimMatch => ({
        claim: claimPathOf(claim),
        values: listAt<string | number | boolean>(values, []).map(({ item }) => item),
      }),
    );
    const tokens = new Map<string, { issuers: string[]; claims: readonly ClaimMatch[] }>();
    for (const issuer of issuers) {
      const more = [
        ...(wantedGroups.length === 0 ? [] : [{ claim: issuer.groups, values: wantedGroups }]),
        ...(roles.length === 0 ? [] : [{ claim: issuer.roles, values: roles }]),
      ];
      const key = JSON.stringify(more);
      const known = tokens.get(key);
      if (known === undefined) tokens.set(key, { issuers: [issuer.name], claims: [...said, ...more] });
      else known.issuers.push(issuer.name);
    }
    return [...tokens.values()].map((token: TokenMatch) => ({ token }));
  }

  /** Undefined: nothing is asked for. */
  #permission(input: Pick<AccessRuleOutput, (typeof PERMISSION_KEYS)[number]>, path: Path): Permission | undefined {
    const { methods, paths, grpc, hosts, headers } = input;
    if (PERMISSION_KEYS.every((key) => input[key] === undefined)) return undefined;
    const asked = [...listAt(paths, []).map(({ item }) => buildPathMatch(item)), ...listAt(grpc, []).map(({ item }) => grpcPath(item))];
    return {
      ...(methods !== undefined && { methods: listAt<string>(methods, []).map(({ item }) => item) }),
      ...(asked.length > 0 && { paths: asked }),
      ...(hosts !== undefined && {
        authorities: listAt(hosts, [...path, 'hosts']).map(({ item, path: inside }) => buildAuthority(item, this.#scope.textOf, inside)),
      }),
      ...(headers && { headers: buildHeaderMatches(headers, this.#scope.textOf, [...path, 'headers']) }),
    };
  }
}

/** Empty: every service. */
function targets(written: readonly TargetOutput[]): AccessTarget[] {
  return written.flatMap((one) => buildTarget(one) ?? []);
}
