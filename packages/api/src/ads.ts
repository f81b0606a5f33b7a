// The Aggregated Discovery Service as a grpc-js service: both variants of the one stream on which a data plane gets everything.
// The contract is Envoy's (envoy/service/discovery/v3/ads.proto). Its messages go from here into the state machines and back.
import { Client, type ClientDuplexStream, type Metadata, type ServiceDefinition } from '@grpc/grpc-js';
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
} as const satisfies ServiceDefinition;

/** A client for both variants; options and credentials are those of grpc-js. */
export class AdsClient extends Client {
  delta(metadata: Metadata): ClientDuplexStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse> {
    return this.makeBidiStreamRequest(DELTA.path, DELTA.requestSerialize, DELTA.responseDeserialize, metadata);
  }

  stateOfTheWorld(metadata: Metadata): ClientDuplexStream<DiscoveryRequest, DiscoveryResponse> {
    return this.makeBidiStreamRequest(
      STATE_OF_THE_WORLD.path,
      STATE_OF_THE_WORLD.requestSerialize,
      STATE_OF_THE_WORLD.responseDeserialize,
      metadata,
    );
  }
}
