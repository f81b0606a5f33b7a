// The door `@heddle/api/grpc-js`: the control plane's services for those who have grpc-js. Data planes do not: they call without it.
export * from './channel.ts';
export {
  AdminClient,
  type AdminServer,
  AdsClient,
  DiscoveryClient,
  type DiscoveryServer,
  ExampleClient,
  type ExampleServer,
  fetchClientStatus,
  IdentityClient,
  type IdentityServer,
} from './clients.ts';
