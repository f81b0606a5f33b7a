// What the encoders for foreign data planes need to know besides the resource: the same for all data planes of a flavour.
import type { RouteConfig } from '@heddle/core';
import type { ConditionSyntax } from '@heddle/core/cel';
import type { At, XdsRejection } from '../rejection.ts';

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
  readonly virtualHost: string;
  readonly name: string;
  /** What about it cannot be followed, and why. */
  readonly reason: string;
}

/** `at`: of the route. */
export function tellRefused({ onRefused }: EncodeOptions, virtualHost: string, name: string, at: At, rejection: XdsRejection): void {
  const reason = [...rejection.path.slice(at.path().length), rejection.reason].join(': ');
  onRefused?.(rejection, { virtualHost, name, reason });
}
