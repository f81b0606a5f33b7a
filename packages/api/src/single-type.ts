// The discovery services for one type of resources each, as gRPC services: the same messages as on an aggregated stream, and a stream
// on which `type_url` says nothing new. The contracts are Envoy's (envoy/service/{listener,route,cluster,endpoint,secret}/v3).
import type { ResourceKind } from '@heddle/core';
import {
  DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
  DiscoveryRequest,
  type DiscoveryResponse,
} from './gen/envoy/envoy/service/discovery/v3/discovery.ts';
import { type BidiMethod, bidiMethod } from './services/method.ts';
import { DeltaResponseCodec, ResponseCodec } from './xds/server/response-bytes.ts';

export interface SingleTypeService {
  /** What people call it: `LDS`. */
  readonly title: string;
  /** For `Server.addService`, with a `handleBidiStreamingCall` for each of the two. */
  readonly definition: {
    readonly stateOfTheWorld: BidiMethod<DiscoveryRequest, DiscoveryResponse>;
    readonly delta: BidiMethod<DeltaDiscoveryRequest, DeltaDiscoveryResponse>;
  };
}

function service(title: string, name: string, resources: string): SingleTypeService {
  return {
    title,
    definition: {
      stateOfTheWorld: bidiMethod(`/${name}/Stream${resources}`, DiscoveryRequest, ResponseCodec),
      delta: bidiMethod(`/${name}/Delta${resources}`, DeltaDiscoveryRequest, DeltaResponseCodec),
    },
  };
}

export const SINGLE_TYPE_SERVICES: { readonly [K in ResourceKind]: SingleTypeService } = {
  listener: service('LDS', 'envoy.service.listener.v3.ListenerDiscoveryService', 'Listeners'),
  route: service('RDS', 'envoy.service.route.v3.RouteDiscoveryService', 'Routes'),
  cluster: service('CDS', 'envoy.service.cluster.v3.ClusterDiscoveryService', 'Clusters'),
  endpoints: service('EDS', 'envoy.service.endpoint.v3.EndpointDiscoveryService', 'Endpoints'),
  secret: service('SDS', 'envoy.service.secret.v3.SecretDiscoveryService', 'Secrets'),
};
