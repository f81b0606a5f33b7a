// The door to the smallest discovery contract, package `example`.
import { DiscoveryDefinition } from '../gen/own/example/discovery.ts';
import { serviceOf } from './method.ts';

export {
  Empty,
  Service as ServiceMessage,
  ServicesList,
} from '../gen/own/example/discovery.ts';

/** For `Server.addService`, and for calls. */
export const DiscoveryService = serviceOf(DiscoveryDefinition);
