// Responses as bytes. The bytes of a resource are the same in every response that carries it, to whichever data plane: they are made once and
// copied from then on. What is around them is small.
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { DeltaDiscoveryResponse, DiscoveryResponse, Resource } from '../../gen/envoy/envoy/service/discovery/v3/discovery.ts';
import { Any } from '../../gen/envoy/google/protobuf/any.ts';
import { type EncodedEntry, RESOURCES_TAG } from '../convert/encoded.ts';

interface Codec<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
}

export const DeltaResponseCodec: Codec<DeltaDiscoveryResponse> = {
  decode: (bytes) => DeltaDiscoveryResponse.decode(bytes),
  encode: (message) => {
    const head = DeltaDiscoveryResponse.encode({ ...message, resources: [] }).finish();
    return { finish: () => Buffer.concat([head, ...(message.resources ?? []).map(entryBytes)]) };
  },
};

export const ResponseCodec: Codec<DiscoveryResponse> = {
  decode: (bytes) => DiscoveryResponse.decode(bytes),
  encode: (message) => {
    const head = DiscoveryResponse.encode({ ...message, resources: [] }).finish();
    return { finish: () => Buffer.concat([head, ...(message.resources ?? []).map(anyBytes)]) };
  },
};

function entryBytes(entry: Resource | EncodedEntry): Uint8Array {
  return 'encoded' in entry ? entry.encoded : Resource.encode(entry, beginEntry()).join().finish();
}

/** Only data planes of the state-of-the-world variant need these: made when the first of them gets the resource. */
const anyBytesKnown = new WeakMap<Any, Uint8Array>();

function anyBytes(any: Any): Uint8Array {
  let bytes = anyBytesKnown.get(any);
  if (bytes === undefined) {
    bytes = Any.encode(any, beginEntry()).join().finish();
    anyBytesKnown.set(any, bytes);
  }
  return bytes;
}

function beginEntry(): BinaryWriter {
  return new BinaryWriter().uint32(RESOURCES_TAG).fork();
}
