// The public door of @heddle/api. Contracts come as namespaces (`discovery.DiscoveryService`), because their message names repeat.
export * from './ads.ts';
export * from './channel.ts';
export * as admin from './services/admin.ts';
export * as csds from './services/csds.ts';
export * as discovery from './services/discovery.ts';
export * as example from './services/example.ts';
export * as hds from './services/hds.ts';
export * as identity from './services/identity.ts';
export * as lrs from './services/lrs.ts';
export * as telemetry from './services/telemetry.ts';
export { InvalidMessageError } from './services/invalid.ts';
export type { BidiMethod, Method, UnaryMethod } from './services/method.ts';
export { type ReflectedFile, reflectionPackage } from './services/reflection.ts';
export * from './xds/client/index.ts';
export {
  decodeResource,
  type EncodedResource,
  type EncodeOptions,
  type RefusedRoute,
  encodeFor,
  encodeResource,
  type PackedResource,
  XdsRejection,
} from './xds/convert/index.ts';
export { SINGLE_TYPE_SERVICES, type SingleTypeService } from './single-type.ts';
export { stateHash } from './xds/digest.ts';
export { GRPC_CERTIFICATE_PROVIDER } from './xds/convert/foreign/grpc-names.ts';
export { kindOfTypeUrl, TYPE_URLS } from './xds/kinds.ts';
export { AdsProtocolError } from './xds/protocol-error.ts';
export * from './xds/server/index.ts';
