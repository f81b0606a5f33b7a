// Who may make requests: heddle.config.v1.AccessPolicy and CallerPolicy. What is not given asks for nothing, so an empty list, by which nobody
// would be meant, is no way to leave something out: it is rejected.
import type {
  AccessPolicy,
  AccessRule,
  CallerPolicy,
  ClaimMatch,
  ExternalAuthorizer,
  IdentityMatch,
  Permission,
  Subject,
  TokenMatch,
} from '@heddle/core';
import {
  type AccessLabels,
  type AccessPolicy as AccessMessage,
  type AccessRule as RuleMessage,
  type CallerPolicy as CallerMessage,
  type ClaimMatch as ClaimMessage,
  Effect,
  type ExternalAuthorizer as ExternalMessage,
  type IdentityMatch as IdentityMessage,
  type Label,
  type Permission as PermissionMessage,
  type Subject as SubjectMessage,
  type TokenMatch as TokenMatchMessage,
} from '../../gen/own/heddle/config/v1/security.ts';
import { atLeastOne, claimPath, givenOrAbsent, listed, milliseconds, network, spiffeText, within, words } from './extension.ts';
import type { At } from './rejection.ts';
import { decodeFields, decodeMethods, decodePath, decodeText, encodeField, encodePath, encodeText } from './route-match.ts';
import { required, requiredText } from './values.ts';

const EFFECTS = words<'allow' | 'deny', Effect>({ allow: Effect.EFFECT_ALLOW, deny: Effect.EFFECT_DENY });
type Labels = NonNullable<AccessPolicy['labels']>;

export function encodeAccess({ default: fallback, rules, audit, external, labels }: AccessPolicy, at: At): AccessMessage {
  return {
    defaultEffect: EFFECTS.toWire[fallback],
    rules: rules.map((rule, index) => encodeRule(rule, at.item('rules', index))),
    audit: audit === true,
    ...(external !== undefined && { external }),
    ...(labels !== undefined && { labels: encodeLabels(labels) }),
  };
}

function encodeRule({ name, effect, audit, subjects, permissions, when }: AccessRule, at: At): RuleMessage {
  givenOrAbsent(when, at.field('when'));
  return {
    name,
    effect: EFFECTS.toWire[effect],
    audit: audit === true,
    subjects: subjects.map((subject, index) => encodeSubject(subject, at.item('subjects', index))),
    permissions: permissions.map((permission, index) => encodePermission(permission, at.item('permissions', index))),
    ...(when !== undefined && { when }),
  };
}

function encodeSubject({ identities, networks, token }: Subject, at: At): SubjectMessage {
  return {
    identities: listed(identities, at.field('identities')).map(encodeIdentity),
    networks: [...listed(networks, at.field('networks'))],
    ...(token !== undefined && { token: encodeTokenMatch(token) }),
  };
}

function encodeIdentity(match: IdentityMatch): IdentityMessage {
  if (match.kind === 'any') return { kind: { $case: 'any', value: {} } };
  return { kind: match.kind === 'exact' ? { $case: 'exact', value: match.id } : { $case: 'prefix', value: match.prefix } };
}

function encodeTokenMatch({ issuers, claims }: TokenMatch): TokenMatchMessage {
  return { issuers: [...issuers], claims: claims.map(encodeClaim) };
}

function encodeClaim({ claim, values }: ClaimMatch): ClaimMessage {
  return {
    claim: [...claim],
    values: values.map((value) => {
      if (typeof value === 'string') return { kind: { $case: 'text', value } };
      return { kind: typeof value === 'number' ? { $case: 'number', value } : { $case: 'truth', value } };
    }),
  };
}

function encodePermission({ methods, paths, authorities, headers }: Permission, at: At): PermissionMessage {
  return {
    methods: [...listed(methods, at.field('methods'))],
    paths: listed(paths, at.field('paths')).map(encodePath),
    authorities: listed(authorities, at.field('authorities')).map(encodeText),
    headers: listed(headers, at.field('headers')).map(encodeField),
  };
}

/** In order of the names, so that equal labels have equal bytes. */
function encodeLabels({ destination, sources }: Labels): AccessLabels {
  return {
    destination: inOrder(destination).map(([name, value]) => ({ name, value })),
    sources: inOrder(sources).map(([id, labels]) => ({ id, labels: inOrder(labels).map(([name, value]) => ({ name, value })) })),
  };
}

function inOrder<T>(values: Readonly<Record<string, T>>): [string, T][] {
  return Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1));
}

/** `issuers`: names of those whose tokens are looked at. */
export function decodeAccess(message: AccessMessage, issuers: readonly string[], at: At): AccessPolicy {
  const taken = new Set<string>();
  const rules = (message.rules ?? []).map((rule, index) => {
    const inside = at.item('rules', index);
    const decoded = decodeRule(rule, issuers, inside);
    if (taken.has(decoded.name)) inside.field('name').reject(`${JSON.stringify(decoded.name)} is the name of an earlier rule already`);
    taken.add(decoded.name);
    return decoded;
  });
  return {
    default: EFFECTS.fromWire(message.defaultEffect, at.field('default_effect')),
    rules,
    ...(message.audit === true && { audit: true }),
    ...(message.external !== undefined && { external: decodeExternal(message.external, at.field('external')) }),
    ...(message.labels !== undefined && { labels: decodeLabels(message.labels, at.field('labels')) }),
  };
}

function decodeRule(message: RuleMessage, issuers: readonly string[], at: At): AccessRule {
  const { subjects = [], permissions = [], when = '' } = message;
  return {
    name: requiredText(message.name, at.field('name')),
    effect: EFFECTS.fromWire(message.effect, at.field('effect')),
    ...(message.audit === true && { audit: true }),
    subjects: atLeastOne(subjects, at.field('subjects')).map((subject, index) =>
      decodeSubject(subject, issuers, at.item('subjects', index)),
    ),
    permissions: permissions.map((permission, index) => decodePermission(permission, at.item('permissions', index))),
    ...(when !== '' && { when }),
  };
}

function decodeSubject({ identities = [], networks = [], token }: SubjectMessage, issuers: readonly string[], at: At): Subject {
  return {
    ...(identities.length > 0 && { identities: decodeIdentities(identities, 'identities', at) }),
    ...(networks.length > 0 && { networks: networks.map((value, index) => network(value, at.item('networks', index))) }),
    ...(token !== undefined && { token: decodeTokenMatch(token, issuers, at.field('token')) }),
  };
}

function decodeIdentities(messages: readonly IdentityMessage[], field: string, at: At): IdentityMatch[] {
  return messages.map(({ kind }, index) => {
    const inside = at.item(field, index);
    const given = required(kind, inside);
    if (given.$case === 'any') return { kind: 'any' };
    const text = spiffeText(given.value, inside.field(given.$case));
    return given.$case === 'exact' ? { kind: 'exact', id: text } : { kind: 'prefix', prefix: text };
  });
}

function decodeTokenMatch({ issuers = [], claims = [] }: TokenMatchMessage, known: readonly string[], at: At): TokenMatch {
  issuers.forEach((name, index) => {
    // Such a rule would fit nothing, and nobody would know why.
    if (!known.includes(name)) at.item('issuers', index).reject(`${JSON.stringify(name)} is no issuer in tokens of the virtual host`);
  });
  if (known.length === 0) at.reject('needs tokens of the virtual host: without them no token is looked at');
  return { issuers, claims: claims.map((claim, index) => decodeClaim(claim, at.item('claims', index))) };
}

function decodeClaim({ claim, values = [] }: ClaimMessage, at: At): ClaimMatch {
  return {
    claim: claimPath(claim, at),
    values: atLeastOne(values, at.field('values')).map(({ kind }, index) => {
      const inside = at.item('values', index);
      const { $case, value } = required(kind, inside);
      if ($case === 'number' && !Number.isFinite(value)) inside.field($case).reject(`${value} is no number that a claim can have`);
      return value;
    }),
  };
}

function decodePermission({ methods = [], paths = [], authorities = [], headers = [] }: PermissionMessage, at: At): Permission {
  return {
    ...(methods.length > 0 && { methods: decodeMethods(methods, at) }),
    ...(paths.length > 0 && { paths: paths.map((path, index) => decodePath(path, at.item('paths', index))) }),
    ...(authorities.length > 0 && { authorities: authorities.map((one, index) => decodeText(one, at.item('authorities', index))) }),
    ...(headers.length > 0 && { headers: decodeFields(headers, at) }),
  };
}

function decodeExternal({ cluster, timeoutMs, failOpen, bodyBytesMax }: ExternalMessage, at: At): ExternalAuthorizer {
  return {
    cluster: requiredText(cluster, at.field('cluster')),
    timeoutMs: milliseconds(timeoutMs, at.field('timeout_ms'), 1),
    failOpen: failOpen === true,
    bodyBytesMax: within(bodyBytesMax, 0, Number.MAX_SAFE_INTEGER, at.field('body_bytes_max')),
  };
}

function decodeLabels({ destination = [], sources = [] }: AccessLabels, at: At): Labels {
  const ids = sources.map(({ id }, index) => spiffeText(id, at.item('sources', index).field('id')));
  onlyOnce(ids, 'sources', 'id', at);
  return {
    destination: decodeLabelList(destination, 'destination', at),
    sources: Object.fromEntries(
      sources.map(({ labels }, index) => [ids[index], decodeLabelList(labels, 'labels', at.item('sources', index))]),
    ),
  };
}

function decodeLabelList(labels: readonly Label[] = [], field: string, at: At): Record<string, string> {
  const names = labels.map(({ name }, index) => requiredText(name, at.item(field, index).field('name')));
  onlyOnce(names, field, 'name', at);
  return Object.fromEntries(labels.map(({ value = '' }, index) => [names[index], value]));
}

function onlyOnce(keys: readonly string[], field: string, key: string, at: At): void {
  const taken = new Set<string>();
  keys.forEach((value, index) => {
    if (taken.has(value))
      at.item(field, index)
        .field(key)
        .reject(`${JSON.stringify(value)} is listed twice`);
    taken.add(value);
  });
}

/** An empty list says that nobody may call: it must not read as everyone. */
export function encodeCallers({ allowed, denied }: CallerPolicy): CallerMessage {
  return {
    allowed:
      allowed === 'everyone' ? { $case: 'everyone', value: {} } : { $case: 'listed', value: { identities: allowed.map(encodeIdentity) } },
    denied: denied.map(encodeIdentity),
  };
}

export function decodeCallers({ allowed, denied = [] }: CallerMessage, at: At): CallerPolicy {
  const given = required(allowed, at.field('allowed'));
  return {
    allowed: given.$case === 'everyone' ? 'everyone' : decodeIdentities(given.value.identities ?? [], 'identities', at.field('listed')),
    denied: decodeIdentities(denied, 'denied', at),
  };
}
