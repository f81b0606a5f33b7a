// The small pieces that all resources share: durations, addresses, metadata, references by ADS.
import type { Address } from '../../gen/envoy/envoy/config/core/v3/address.ts';
import type { Metadata } from '../../gen/envoy/envoy/config/core/v3/base.ts';
import { ApiVersion, type ConfigSource } from '../../gen/envoy/envoy/config/core/v3/config_source.ts';
import { SocketAddress_Protocol } from '../../gen/envoy/envoy/config/core/v3/address.ts';
import type { Duration } from '../../gen/envoy/google/protobuf/duration.ts';
import { isIpAddress } from '../../ip-address.ts';
import type { At } from './rejection.ts';

/** Namespace of what Envoy has no field for, in `filter_metadata`: Envoy keeps it and shows it, and acts no differently. */
export const METADATA_NAMESPACE = 'dev.heddle';
/** google.protobuf.Duration: ten thousand years. */
const DURATION_SECONDS_MAX = 315_576_000_000;
const NANOS_PER_MS = 1_000_000;

export function required<T>(value: T | undefined, at: At): T {
  return value === undefined ? at.reject('is required') : value;
}

export function requiredText(value: string | undefined, at: At): string {
  return value === undefined || value === '' ? at.reject('is required') : value;
}

export function exactlyOne<T>(items: readonly T[] | undefined, at: At): T {
  const [item] = items ?? [];
  return items?.length === 1 && item !== undefined ? item : at.reject(`must have exactly one entry, not ${items?.length ?? 0}`);
}

/** Rejects a value that Heddle would not follow. */
export function mustBe<T>(value: T | undefined, supported: T, at: At, words: string): void {
  if (value !== supported) at.reject(`only ${words} is supported, not ${String(value)}`);
}

export function encodeDuration(ms: number): Duration {
  const seconds = Math.floor(ms / 1_000);
  return { seconds, nanos: (ms - seconds * 1_000) * NANOS_PER_MS };
}

/** Milliseconds; rejects negative durations and parts of a millisecond, which Heddle would have to round. */
export function decodeDuration(duration: Duration | undefined, at: At): number {
  const { seconds = 0, nanos = 0 } = required(duration, at);
  if (seconds < 0 || nanos < 0 || nanos >= 1_000 * NANOS_PER_MS || seconds > DURATION_SECONDS_MAX)
    return at.reject(`${seconds} s ${nanos} ns is not a duration`);
  if (nanos % NANOS_PER_MS !== 0) return at.reject(`${seconds} s ${nanos} ns is finer than a millisecond`);
  return seconds * 1_000 + nanos / NANOS_PER_MS;
}

/** As `decodeDuration`, and more than nothing. */
export function decodePositiveDuration(duration: Duration | undefined, at: At): number {
  const ms = decodeDuration(duration, at);
  return ms > 0 ? ms : at.reject('must be longer than 0');
}

export function encodeAddress(address: string, port: number): Address {
  return {
    address: {
      $case: 'socketAddress',
      value: { protocol: SocketAddress_Protocol.TCP, address, portSpecifier: { $case: 'portValue', value: port } },
    },
  };
}

/** An IP address with a TCP port. Port 0 (the system chooses) is accepted where `portMin` is 0. */
export function decodeAddress(message: Address | undefined, portMin: 0 | 1, at: At): { address: string; port: number } {
  const socket = required(message?.address?.value, at.field('socket_address'));
  const inside = at.field('socket_address');
  mustBe(socket.protocol, SocketAddress_Protocol.TCP, inside.field('protocol'), 'TCP');
  const address = requiredText(socket.address, inside.field('address'));
  if (!isIpAddress(address)) return inside.field('address').reject(`${JSON.stringify(address)} is not an IP address`);
  const port = required(socket.portSpecifier?.value, inside.field('port_value'));
  if (port < portMin || port > 65_535) return inside.field('port_value').reject(`${port} is not a port`);
  return { address, port };
}

export function encodeMetadata(values: Readonly<Record<string, unknown>>): Metadata {
  return { filterMetadata: { [METADATA_NAMESPACE]: values } };
}

/**
 * The values under `dev.heddle`, of which only these keys may be there. Metadata for other readers is rejected as well: Heddle
 * cannot know whether something depends on it. `isExtended`: there may be a message of ours, too (see extension.ts).
 */
export function decodeMetadata(
  message: Metadata | undefined,
  keys: readonly string[],
  at: At,
  isExtended = false,
): Readonly<Record<string, unknown>> {
  const typed = Object.keys(message?.typedFilterMetadata ?? {}).find((name) => !isExtended || name !== METADATA_NAMESPACE);
  if (typed !== undefined)
    at.field('typed_filter_metadata').reject(
      `${JSON.stringify(typed)} is not supported${isExtended ? `; only ${METADATA_NAMESPACE} is` : ' here'}`,
    );
  const all = message?.filterMetadata ?? {};
  const foreign = Object.keys(all).find((name) => name !== METADATA_NAMESPACE);
  const inside = at.field('filter_metadata');
  if (foreign !== undefined) return inside.reject(`${JSON.stringify(foreign)} is not supported; only ${METADATA_NAMESPACE} is`);
  const values = Object.hasOwn(all, METADATA_NAMESPACE) ? (all[METADATA_NAMESPACE] ?? {}) : {};
  const unknown = Object.keys(values).find((key) => !keys.includes(key));
  if (unknown !== undefined) return inside.field(METADATA_NAMESPACE).reject(`${unknown} is not supported`);
  return values;
}

/** A text in metadata; undefined where it is not set. */
export function metadataText(values: Readonly<Record<string, unknown>>, key: string, at: At): string | undefined {
  const value = Object.hasOwn(values, key) ? values[key] : undefined;
  if (value === undefined || typeof value === 'string') return value;
  return at.field('filter_metadata').field(METADATA_NAMESPACE).field(key).reject('must be a string');
}

/** "Get it on this stream": the only source that Heddle's data planes know. */
export function adsSource(): ConfigSource {
  return { configSourceSpecifier: { $case: 'ads', value: {} }, resourceApiVersion: ApiVersion.V3 };
}

export function mustBeAds(source: ConfigSource | undefined, at: At): void {
  if (source?.configSourceSpecifier?.$case !== 'ads') at.reject('only ads is supported as a source');
  if (source?.resourceApiVersion !== ApiVersion.V3 && source?.resourceApiVersion !== ApiVersion.AUTO) {
    at.field('resource_api_version').reject('only V3 is supported');
  }
}
