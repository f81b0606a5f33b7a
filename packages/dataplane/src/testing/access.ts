// Access rules in front of the one instance of `orders`: where it is decided depends on the way, on the called side of a pair, else on the only data plane.
// Tests only.
import { NO_RETRY } from '@heddle/core';
import type { AccessPolicy, AccessRule, Permission, Subject, VirtualHost } from '@heddle/core';
import { mustApply, routeOf } from './mesh.ts';
import type { Plane } from './mesh.ts';
import type { Way } from './paths.ts';

/** The data plane that decides. */
export function decidingPlane(way: Way): Plane {
  return way.planes.at(-1)!;
}

/** What the virtual host of the instance says besides its routes. */
export async function guard(way: Way, parts: Partial<VirtualHost>): Promise<void> {
  const isPair = way.planes.length > 1;
  const name = isPair ? 'inbound/default/orders/orders-1' : 'outbound/default/orders';
  const cluster = isPair ? 'local/default/orders/orders-1' : name;
  const routes = [routeOf(cluster, { retry: NO_RETRY, timeoutMs: 0 })];
  const host = { name: 'all', domains: ['*'], routes, ...parts };
  await mustApply(decidingPlane(way).plane, { kind: 'route', upserts: [{ name, virtualHosts: [host] }], removed: [] });
}

export const WEB = 'spiffe://shop.test/ns/default/svc/web';

export function rule(
  name: string,
  effect: AccessRule['effect'],
  permissions: readonly Permission[],
  subjects: readonly Subject[] = [{}],
): AccessRule {
  return { name, effect, subjects, permissions };
}

export function policy(byDefault: AccessPolicy['default'], ...rules: readonly AccessRule[]): AccessPolicy {
  return { default: byDefault, rules };
}

/** Of `heddle_access_decisions_total`, by its labels. */
export function decisions(plane: Plane): Record<string, number> {
  const found: Record<string, number> = {};
  for (const line of plane.metrics.expose().split('\n')) {
    if (!line.startsWith('heddle_access_decisions_total{')) continue;
    const label = (name: string): string => new RegExp(`${name}="([^"]*)"`).exec(line)?.[1] ?? '';
    const key = [label('decision'), label('by'), label('rule')].filter((part) => part !== '').join(' ');
    found[key] = (found[key] ?? 0) + Number(line.slice(line.lastIndexOf(' ') + 1));
  }
  return found;
}
