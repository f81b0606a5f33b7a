// The contracts as gRPC reflection wants them, so that any client can list and call them from the address alone.
import { DESCRIPTORS } from '../gen/descriptors.ts';
import { DESCRIPTORS as XDS_DESCRIPTORS } from '../gen/envoy-descriptors.ts';

/** One entry of the package definition that `new ReflectionService(…)` of `@grpc/reflection` takes (the form of `@grpc/proto-loader`). */
export interface ReflectedFile {
  readonly format: 'Protocol Buffer 3 DescriptorProto';
  readonly type: object;
  readonly fileDescriptorProtos: Buffer[];
}

/** By file name: all of Heddle's own contracts, and Envoy's as far as they are served. */
export function reflectionPackage(): Record<string, ReflectedFile> {
  const files = Object.entries({ ...XDS_DESCRIPTORS, ...DESCRIPTORS }).map(([name, base64]): [string, ReflectedFile] => [
    name,
    { format: 'Protocol Buffer 3 DescriptorProto', type: {}, fileDescriptorProtos: [Buffer.from(base64, 'base64')] },
  ]);
  return Object.fromEntries(files);
}
