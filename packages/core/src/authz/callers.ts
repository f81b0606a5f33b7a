// Whose calls can be allowed at all, as far as identities tell: what callers are told, so that they refuse what would be refused anyhow. It
// may let through what is refused later, and refuses nothing that may be allowed.
import type { CallerPolicy } from '../model/dataplane.ts';
import type { AccessPolicy, AccessRule, IdentityMatch } from '../model/security.ts';
import { identityFits } from './subject.ts';

/** Undefined: everybody may try. */
export function callersOf({ default: byDefault, rules, audit }: AccessPolicy): CallerPolicy | undefined {
  if (audit === true) return undefined;
  const deciding = rules.filter((rule) => rule.audit !== true);
  const allowing = deciding.filter(({ effect }) => effect === 'allow');
  const allowed = byDefault === 'allow' ? 'everyone' : allowedBy(allowing);
  const denied = distinct(deciding.filter(({ effect }) => effect === 'deny').flatMap(alwaysDenied));
  return allowed === 'everyone' && denied.length === 0 ? undefined : { allowed, denied };
}

/** Whether a caller may try. */
export function mayCall({ allowed, denied }: CallerPolicy, spiffeId: string): boolean {
  return (allowed === 'everyone' || identityFits(allowed, spiffeId)) && !identityFits(denied, spiffeId);
}

function allowedBy(rules: readonly AccessRule[]): CallerPolicy['allowed'] {
  const subjects = rules.flatMap((rule) => rule.subjects);
  if (subjects.some(({ identities }) => identities === undefined)) return 'everyone';
  return distinct(subjects.flatMap(({ identities }) => identities ?? []));
}

/** Whoever the rule denies whatever is asked, from wherever, with whichever token. */
function alwaysDenied({ subjects, permissions, when }: AccessRule): readonly IdentityMatch[] {
  const isAboutAll =
    permissions.length === 0 ||
    permissions.some(
      ({ methods, paths, authorities, headers }) =>
        methods === undefined && paths === undefined && authorities === undefined && (headers === undefined || headers.length === 0),
    );
  if (!isAboutAll || when !== undefined) return [];
  return subjects.flatMap(({ identities, networks, token }) => {
    if (networks !== undefined || token !== undefined) return [];
    return identities ?? [{ kind: 'any' } as const];
  });
}

function distinct(matches: readonly IdentityMatch[]): readonly IdentityMatch[] {
  const byKey = new Map(
    matches.map((match) => [JSON.stringify([match.kind, 'id' in match ? match.id : 'prefix' in match ? match.prefix : '']), match]),
  );
  return [...byKey.values()];
}
