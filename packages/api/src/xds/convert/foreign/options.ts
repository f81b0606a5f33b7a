// What the encoders for foreign data planes need to know besides the resource: the same for all data planes of a flavour.
import type { RouteConfig, VirtualHost } from '@heddle/core';
import type { ConditionSyntax } from '@heddle/core/cel';
import { type At, XdsRejection } from '../rejection.ts';

export interface EncodeOptions {
  /** Of the mesh: identities of other domains are nobody's. */
  readonly trustDomain: string;
  /**
   * Route configurations that the same data plane gets, by name. What virtual hosts say about access and tokens, foreign data planes want to hear
   * in the listener, in part or as a whole: without it, inbound listeners that have routes refuse every request.
   */
  readonly routeConfig?: (name: string) => RouteConfig | undefined;
  /** SPIFFE ids that are refused although their certificates are valid. Absent: none. */
  readonly denied?: readonly string[];
  /** Reads conditions of access rules (`conditionSyntax` of `@heddle/core/cel`). Absent: no foreign data plane is told of any, and their rules fail closed. */
  readonly expression?: (source: string) => ConditionSyntax;
  /**
   * Told about each route of a resource that data planes of the flavour cannot be told, although the rest is sent: requests that it is for are
   * answered with an error there. The path of the rejection leads to the part at fault, its reason is for people.
   */
  readonly onRefused?: (rejection: XdsRejection, route: RefusedRoute) => void;
}

export interface RefusedRoute {
  /** `policy`: something else that a virtual host says, as an access rule; its requests are not all refused. */
  readonly kind: 'route' | 'policy';
  readonly virtualHost: string;
  readonly name: string;
  /** What about it cannot be followed, and why; of a policy also what becomes of it. */
  readonly reason: string;
}

/** `at`: of the route. */
export function tellRefused({ onRefused }: EncodeOptions, virtualHost: string, name: string, at: At, rejection: XdsRejection): void {
  const reason = [...rejection.path.slice(at.path().length), rejection.reason].join(': ');
  onRefused?.(rejection, { kind: 'route', virtualHost, name, reason });
}

/** `at`: of the policy. */
export function tellPolicy({ onRefused }: EncodeOptions, virtualHost: string, name: string, at: At, reason: string): void {
  onRefused?.(new XdsRejection(at.path(), reason), { kind: 'policy', virtualHost, name, reason });
}

/** Tokens that are to go out with calls: only our own data planes get them. Gives the reason where every call needs one, which none can then be. */
export function untoldAttached({ name, attach = [] }: VirtualHost, options: EncodeOptions, who: string, at: At): XdsRejection | undefined {
  let untold: XdsRejection | undefined;
  attach.forEach(({ from, token }, index) => {
    const inside = at.item('attach', index);
    if (from.length === 0) untold ??= new XdsRejection(inside.path(), `${who} attach no tokens to calls`);
    else tellPolicy(options, name, `outbound token ${token.name}`, inside, `${who} attach no tokens to calls; theirs go without it`);
  });
  return untold;
}
