// The door to the smallest discovery contract, package `example`.

export {
  DiscoveryClient,
  type DiscoveryServer,
  DiscoveryService,
  Empty,
  Service as ServiceMessage,
  ServicesList,
} from '../gen/own/example/discovery.ts';
