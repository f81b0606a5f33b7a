// The discovery services for one type of resources each, beside the aggregated one: the same sessions, each limited to its type. What a
// data plane may have is decided as on an aggregated stream; only the order between types is its own affair.
import type { Server, ServerDuplexStream } from '@grpc/grpc-js';
import { DeltaAdsSession, SINGLE_TYPE_SERVICES, SotwAdsSession } from '@heddle/api';
import type { DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse } from '@heddle/api';
import type { ResourceKind } from '@heddle/core';
import type { Session } from './stream.ts';

/** `service`: the service and the variant, for people. */
export type ServeStream = <Request extends DiscoveryRequest | DeltaDiscoveryRequest, Response>(
  call: ServerDuplexStream<Request, Response>,
  session: Session<Request, Response>,
  service: string,
) => void;

export function addSingleTypeServices(server: Server, serve: ServeStream): void {
  for (const kind of Object.keys(SINGLE_TYPE_SERVICES) as ResourceKind[]) {
    const { title, definition } = SINGLE_TYPE_SERVICES[kind];
    server.addService(definition, {
      stateOfTheWorld: (call: ServerDuplexStream<DiscoveryRequest, DiscoveryResponse>) =>
        serve(call, new SotwAdsSession(kind), `${title} ${STATE_OF_THE_WORLD}`),
      delta: (call: ServerDuplexStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse>) =>
        serve(call, new DeltaAdsSession(kind), `${title} ${DELTA}`),
    });
  }
}

/** How the variants are called where data planes are listed. */
export const STATE_OF_THE_WORLD = 'state of the world';
export const DELTA = 'delta';
