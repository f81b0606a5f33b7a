// The Aggregated Discovery Service as a grpc-js service: both variants of the one stream on which a data plane gets everything.
// The contract is Envoy's (envoy/service/discovery/v3/ads.proto). Its messages go from here into the state machines and back.
import { Client, type ClientDuplexStream, type Metadata, type MethodDefinition, type ServiceDefinition } from '@grpc/grpc-js';
import {
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
  DiscoveryRequest,
  DiscoveryResponse,
} from './gen/envoy/envoy/service/discovery/v3/discovery.ts';

export type { DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse };

interface Codec<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
}

function stream<Request, Response>(name: string, request: Codec<Request>, response: Codec<Response>): MethodDefinition<Request, Response> {
  return {
    path: `/envoy.service.discovery.v3.AggregatedDiscoveryService/${name}`,
    requestStream: true,
    responseStream: true,
    requestSerialize: (message) => toBuffer(request.encode(message).finish()),
    requestDeserialize: (bytes) => request.decode(bytes),
    responseSerialize: (message) => toBuffer(response.encode(message).finish()),
    responseDeserialize: (bytes) => response.decode(bytes),
  };
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

const STATE_OF_THE_WORLD = stream('StreamAggregatedResources', DiscoveryRequest, DiscoveryResponse);
const DELTA = stream('DeltaAggregatedResources', DeltaDiscoveryRequest, DeltaDiscoveryResponse);

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
