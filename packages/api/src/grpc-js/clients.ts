// Clients of the control plane's services made with grpc-js, for operators, tools and tests. Options and credentials are those of grpc-js; how the
// control plane is reached, `channel.ts` says.
import {
  type CallOptions,
  Client,
  type ClientDuplexStream,
  type ClientUnaryCall,
  makeGenericClientConstructor,
  type Metadata,
  type ServiceDefinition,
  type ServiceError,
} from '@grpc/grpc-js';
import {
  AdsService,
  type DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
  type DiscoveryRequest,
  type DiscoveryResponse,
} from '../ads.ts';
import { AdminService } from '../services/admin.ts';
import { type ClientStatusRequest, type ClientStatusResponse, ClientStatusService } from '../services/csds.ts';
import { DiscoveryService } from '../services/discovery.ts';
import { DiscoveryService as ExampleService } from '../services/example.ts';
import { IdentityService } from '../services/identity.ts';
import type { ClientConstructor, ClientOf, HandlersOf } from './service-types.ts';

export type AdminClient = ClientOf<typeof AdminService>;
export const AdminClient = clientFor(AdminService);
export type DiscoveryClient = ClientOf<typeof DiscoveryService>;
export const DiscoveryClient = clientFor(DiscoveryService);
export type IdentityClient = ClientOf<typeof IdentityService>;
export const IdentityClient = clientFor(IdentityService);
/** Of the smallest contract, package `example`. */
export type ExampleClient = ClientOf<typeof ExampleService>;
export const ExampleClient = clientFor(ExampleService);

/** What a server of each has to do. */
export type AdminServer = HandlersOf<typeof AdminService>;
export type DiscoveryServer = HandlersOf<typeof DiscoveryService>;
export type IdentityServer = HandlersOf<typeof IdentityService>;
export type ExampleServer = HandlersOf<typeof ExampleService>;

function clientFor<Service extends ServiceDefinition>(service: Service): ClientConstructor<Service> {
  const name = Object.values(service)[0]?.path.split('/')[1] ?? '';
  return makeGenericClientConstructor(service, name) as unknown as ClientConstructor<Service>;
}

/** A client for both variants of the aggregated stream. */
export class AdsClient extends Client {
  delta(metadata: Metadata): ClientDuplexStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse> {
    const { path, requestSerialize, responseDeserialize } = AdsService.deltaAggregatedResources;
    return this.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata);
  }

  stateOfTheWorld(metadata: Metadata): ClientDuplexStream<DiscoveryRequest, DiscoveryResponse> {
    const { path, requestSerialize, responseDeserialize } = AdsService.streamAggregatedResources;
    return this.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata);
  }
}

/** Asks for CSDS on the connection that `client` has. The form is that of the other clients' functions. */
export function fetchClientStatus(
  client: Client,
  request: ClientStatusRequest,
  metadata: Metadata,
  options: Partial<CallOptions>,
  done: (error: ServiceError | null, response: ClientStatusResponse) => void,
): ClientUnaryCall {
  const { path, requestSerialize, responseDeserialize } = ClientStatusService.fetchClientStatus;
  return client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, metadata, options, (error, response) =>
    done(error, response ?? {}),
  );
}
