// From what the owners of a mesh say to what holds for one service. Policy tests, the compiler and the simulator ask here, so that none of
// them can disagree.
import { formatSpiffeId } from '../identity/spiffe.ts';
import type { AccessPolicy, AccessRule, AccessTarget, SecurityConfig } from '../model/security.ts';
import type { Service } from '../model/service.ts';
import type { ServiceRef } from '../model/service-ref.ts';

/** Of a service, as far as policies need it. */
export type LabelledService = ServiceRef & Pick<Service, 'labels'>;

/**
 * The policy of one service: the rules that are for it, in their order. Undefined: everybody may do everything, and nobody is asked.
 * @param services all of the mesh: conditions may ask for the labels of callers.
 * @param authorizerCluster the cluster by which the service's data plane reaches the external authorizer. Absent: no policy names it, so only
 * for placements that do not ask it, as a test of rules.
 */
export function accessPolicyOf(
  security: SecurityConfig,
  service: LabelledService,
  services: readonly LabelledService[],
  trustDomain: string,
  authorizerCluster?: string,
): AccessPolicy | undefined {
  const { access } = security;
  const rules = access.rules.filter(({ to }) => isFor(to, service)).map(withoutTarget);
  const asksOutside = access.external !== undefined && authorizerCluster !== undefined;
  if (access.default === 'allow' && rules.length === 0 && !asksOutside) return undefined;
  const labels = rules.some(({ when }) => when !== undefined && asksForLabels(when)) ? labelsOf(service, services, trustDomain) : undefined;
  return {
    default: access.default,
    rules,
    ...(access.audit === true && { audit: true }),
    ...(access.external !== undefined && asksOutside && { external: externalOf(access.external, authorizerCluster) }),
    ...(labels !== undefined && { labels }),
  };
}

function isFor(targets: readonly AccessTarget[], service: ServiceRef): boolean {
  return targets.length === 0 || targets.some((target) => isTarget(target, service));
}

function isTarget(target: AccessTarget, { namespace, name }: ServiceRef): boolean {
  if (target.kind === 'namespace') return target.namespace === namespace;
  return target.service.namespace === namespace && target.service.name === name;
}

function withoutTarget({ to: _, ...rule }: SecurityConfig['access']['rules'][number]): AccessRule {
  return rule;
}

function externalOf(
  { service: _, ...external }: NonNullable<SecurityConfig['access']['external']>,
  cluster: string,
): NonNullable<AccessPolicy['external']> {
  return { cluster, ...external };
}

/** Also where the word stands for something else: labels too many cost a few bytes, labels that are missing a decision. */
function asksForLabels(condition: string): boolean {
  return /\blabels\b/.test(condition);
}

function labelsOf(
  service: LabelledService,
  services: readonly LabelledService[],
  trustDomain: string,
): NonNullable<AccessPolicy['labels']> {
  const labelled = services.filter(({ labels }) => Object.keys(labels).length > 0);
  const sources = labelled.map(({ namespace, name, labels }) => [formatSpiffeId({ trustDomain, namespace, name }), labels] as const);
  return { destination: service.labels, sources: Object.fromEntries(sources) };
}
