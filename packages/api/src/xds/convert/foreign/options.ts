// What the encoders for foreign data planes need to know besides the resource: the same for all data planes of a flavour.
import type { XdsRejection } from '../rejection.ts';

export interface EncodeOptions {
  /** Of the mesh: identities of other domains are nobody's. */
  readonly trustDomain: string;
  /**
   * Told about each part of a resource that data planes of the flavour cannot be told, although the rest is sent: requests that the part is for
   * are answered with an error there. The path leads to the part, the reason is for people.
   */
  readonly onRefused?: (rejection: XdsRejection) => void;
}
