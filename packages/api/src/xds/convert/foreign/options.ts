// What the encoders for foreign data planes need to know besides the resource: the same for all data planes of a flavour.

export interface EncodeOptions {
  /** Of the mesh: identities of other domains are nobody's. */
  readonly trustDomain: string;
}
