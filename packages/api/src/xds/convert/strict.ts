// Reading protobuf so that nothing is ignored: a set field that Heddle does not know, at any depth, rejects the resource by its name.
// The generated decoders keep unknown fields; those which proto/envoy-subset.json leaves out are unknown to them on purpose.
import { BinaryReader } from '@bufbuild/protobuf/wire';
import type { Any } from '../../gen/envoy/google/protobuf/any.ts';
import { UNSUPPORTED_FIELDS } from '../../gen/field-names.ts';
import { type At, XdsRejection } from './rejection.ts';

export interface MessageType<T> {
  readonly $type: string;
  encode(message: T): { finish(): Uint8Array };
  decode(reader: BinaryReader): T;
}

const TYPE_URL_PREFIX = 'type.googleapis.com/';

export function pack<T>(type: MessageType<T>, message: T): { typeUrl: string; value: Uint8Array } {
  return { typeUrl: TYPE_URL_PREFIX + type.$type, value: type.encode(message).finish() };
}

/** Decodes the content of an Any of exactly this type; rejects anything else, and anything in it that Heddle does not know. */
export function unpack<T extends object>(type: MessageType<T>, any: Any | undefined, at: At): T {
  if (any === undefined) return at.reject('is required');
  if (any.typeUrl !== TYPE_URL_PREFIX + type.$type)
    return at.reject(`${any.typeUrl || 'an Any without type'} is not supported here; only ${type.$type} is`);
  return decodeStrict(type, any.value ?? new Uint8Array(), at);
}

export function decodeStrict<T extends object>(type: MessageType<T>, bytes: Uint8Array, at: At): T {
  let message: T;
  try {
    const reader = new BinaryReader(bytes);
    message = type.decode(reader);
    // The decoder stops at an end-group tag; what comes behind one would go unseen.
    if (reader.pos !== bytes.length) at.reject(`is not a valid ${type.$type}: ${bytes.length - reader.pos} bytes cannot be read`);
  } catch (error) {
    if (error instanceof XdsRejection) throw error;
    return at.reject(`is not a valid ${type.$type}: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (hasUnknown(message)) rejectUnknown(message, at);
  return message;
}

export interface Decoded {
  readonly $type?: string;
  readonly _unknownFields?: Readonly<Record<number, unknown>>;
}

/**
 * Throws XdsRejection at the first field that is not known. Walks a decoded message; only messages carry `$type`, so plain structs and
 * bytes are not entered.
 */
export function rejectUnknown(message: Decoded, at: At): void {
  for (const tag in message._unknownFields) {
    const number = Number(tag) >>> 3;
    const name = UNSUPPORTED_FIELDS[message.$type ?? '']?.[number];
    at.reject(name === undefined ? `field ${number} of ${message.$type} is not known to Heddle` : `${name} is not supported`);
  }
  for (const [key, value] of Object.entries(message)) {
    if (value === null || typeof value !== 'object' || key === '_unknownFields') continue;
    if (Array.isArray(value)) {
      value.forEach((item: unknown, index) => {
        if (isMessage(item)) rejectUnknown(item, at.item(snakeCase(key), index));
      });
    } else if (isMessage(value)) rejectUnknown(value, at.field(snakeCase(key)));
    else if ('$case' in value && 'value' in value && isMessage(value.value))
      rejectUnknown(value.value, at.field(snakeCase(String(value.$case))));
  }
}

/** The same walk without the way: nearly every message is fine, and then nobody asks where. */
function hasUnknown(message: Decoded): boolean {
  for (const _ in message._unknownFields) return true;
  const values = message as Readonly<Record<string, unknown>>;
  for (const key in values) {
    const value = values[key];
    if (typeof value !== 'object' || value === null || key === '_unknownFields') continue;
    if (Array.isArray(value)) {
      for (const item of value) if (isMessage(item) && hasUnknown(item)) return true;
    } else if (isMessage(value)) {
      if (hasUnknown(value)) return true;
    } else if ('$case' in value && 'value' in value && isMessage(value.value) && hasUnknown(value.value)) return true;
  }
  return false;
}

function isMessage(value: unknown): value is Decoded {
  return typeof value === 'object' && value !== null && '$type' in value;
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
