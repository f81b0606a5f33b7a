// The server side of ADS without IO.
export { DeltaAdsSession } from './delta.ts';
export type { Confirmation, KindSync } from './kind-state.ts';
export type { AdsNode, OnSubscription, SessionResource } from './session.ts';
export { createSnapshot, type ResourceMap, type ResourceSet, type ResourceSource, type Snapshot } from './snapshot.ts';
export { SotwAdsSession } from './sotw.ts';
