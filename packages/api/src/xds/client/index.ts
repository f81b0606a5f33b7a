// The client side of ADS without IO.
export {
  type AdsClientNode,
  type ApplyResult,
  type ClientKindStatus,
  DeltaAdsClient,
  type DeltaAdsClientOptions,
  type KeptResource,
} from './client.ts';
export type { KindUpdate, ResourceUpdate } from './update.ts';
