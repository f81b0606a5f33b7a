// The Aggregated Discovery Service as a gRPC service: both variants of the one stream on which a data plane gets everything.
// The contract is Envoy's (envoy/service/discovery/v3/ads.proto). Its messages go from here into the state machines and back.
import {
  DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
  DiscoveryRequest,
  type DiscoveryResponse,
} from './gen/envoy/envoy/service/discovery/v3/discovery.ts';
import { bidiMethod } from './services/method.ts';
import { DeltaResponseCodec, ResponseCodec } from './xds/server/response-bytes.ts';

export type { DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse };

const SERVICE = '/envoy.service.discovery.v3.AggregatedDiscoveryService';
const STATE_OF_THE_WORLD = bidiMethod(`${SERVICE}/StreamAggregatedResources`, DiscoveryRequest, ResponseCodec);
const DELTA = bidiMethod(`${SERVICE}/DeltaAggregatedResources`, DeltaDiscoveryRequest, DeltaResponseCodec);

/** For `Server.addService`: handlers are `handleBidiStreamingCall`s of the two pairs of messages. */
export const AdsService = {
  streamAggregatedResources: STATE_OF_THE_WORLD,
  deltaAggregatedResources: DELTA,
} as const;
