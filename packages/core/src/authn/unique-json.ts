// JSON in which no object names a member twice. RFC 8259 §4 leaves open which of two counts, and readers differ: a token that says two things must
// not be believed by one and read otherwise by the next (RFC 7515 §4, RFC 7519 §4 let us refuse it).

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject;

/** Made by JSON.parse: a member may have any name, `__proto__` too, so members are asked for by `memberOf`. */
export interface JsonObject {
  readonly [name: string]: JsonValue;
}

/** Deeper ones are refused: claims are a few levels deep. */
const DEPTH_MAX = 16;

const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const LIST_BEGIN = 0x5b;
const LIST_END = 0x5d;
const OBJECT_BEGIN = 0x7b;
const OBJECT_END = 0x7d;

/** An object; undefined for all else, also for what is no JSON, names a member twice, or nests deeper than 16 levels. */
export function parseUniqueObject(text: string): JsonObject | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  return isJsonObject(value) && hasUniqueNames(text) ? value : undefined;
}

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Its own member; undefined: there is none. */
export function memberOf(object: JsonObject, name: string): JsonValue | undefined {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

/** @param text valid JSON. */
function hasUniqueNames(text: string): boolean {
  /** The names of each open object; undefined for a list. */
  const open: (Set<string> | undefined)[] = [];
  let expectsName = false;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case OBJECT_BEGIN:
      case LIST_BEGIN:
        expectsName = text.charCodeAt(at) === OBJECT_BEGIN;
        if (open.push(expectsName ? new Set() : undefined) > DEPTH_MAX) return false;
        break;
      case OBJECT_END:
      case LIST_END:
        open.pop();
        break;
      case COMMA:
        expectsName = open.at(-1) !== undefined;
        break;
      case QUOTE: {
        const end = endOfString(text, at);
        const names = open.at(-1);
        if (expectsName && names !== undefined) {
          expectsName = false;
          // Escapes are another way to write the same name.
          const name = JSON.parse(text.slice(at, end)) as string;
          if (names.has(name)) return false;
          names.add(name);
        }
        at = end - 1;
        break;
      }
    }
  }
  return true;
}

/** Behind the closing quote. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (text.charCodeAt(at) !== QUOTE) at += text.charCodeAt(at) === BACKSLASH ? 2 : 1;
  return at + 1;
}
