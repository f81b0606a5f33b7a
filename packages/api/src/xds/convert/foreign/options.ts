// What the encoders for foreign data planes need to know besides the resource: the same for all data planes of a flavour.
import type { At, XdsRejection } from '../rejection.ts';

export interface EncodeOptions {
  /** Of the mesh: identities of other domains are nobody's. */
  readonly trustDomain: string;
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
