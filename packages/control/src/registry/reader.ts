// Reading unknown values field by field: each failure says where and why. Used for what comes over the network and for
// what comes back from the store, which an older or newer version may have written.
import { isIP } from 'node:net';
import type { SocketAddress } from '@heddle/core';
import { RegistryError } from './errors.ts';

export class Reader {
  readonly #value: Readonly<Record<string, unknown>>;
  readonly #path: string;

  constructor(value: unknown, path: string) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(path, 'must be an object');
    this.#value = value as Readonly<Record<string, unknown>>;
    this.#path = path;
  }

  has(name: string): boolean {
    return this.#value[name] !== undefined;
  }

  text(name: string, charsMax: number): string {
    const value = this.#value[name];
    if (typeof value !== 'string') throw this.fail(name, 'must be a string');
    if (value.length > charsMax) throw this.fail(name, `has ${value.length} characters, at most ${charsMax} are allowed`);
    if (/[\p{Cc}\p{Cs}]/u.test(value)) throw this.fail(name, 'contains a control character');
    return value;
  }

  matching(name: string, form: RegExp, rule: string): string {
    const value = this.text(name, 4_096);
    if (!form.test(value)) throw this.fail(name, `${JSON.stringify(value.slice(0, 100))} is not ${rule}`);
    return value;
  }

  oneOf<T extends string>(name: string, allowed: readonly T[]): T {
    const value = this.#value[name];
    if (!allowed.includes(value as T)) throw this.fail(name, `must be one of ${allowed.join(', ')}`);
    return value as T;
  }

  integer(name: string, min: number, max: number): number {
    const value = this.#value[name];
    if (!Number.isInteger(value) || (value as number) < min || (value as number) > max)
      throw this.fail(name, `must be a whole number from ${min} to ${max}`);
    return value as number;
  }

  object(name: string): Reader {
    return new Reader(this.#value[name], `${this.#path}.${name}`);
  }

  list<T>(name: string, max: number, read: (item: unknown, path: string) => T): T[] {
    const value = this.#value[name];
    if (!Array.isArray(value)) throw this.fail(name, 'must be a list');
    if (value.length > max) throw this.fail(name, `has ${value.length} entries, at most ${max} are allowed`);
    return value.map((item, index) => read(item, `${this.#path}.${name}[${index}]`));
  }

  entries(name: string, max: number): [string, unknown][] {
    const entries = Object.entries(this.object(name).#value);
    if (entries.length > max) throw this.fail(name, `has ${entries.length} entries, at most ${max} are allowed`);
    return entries;
  }

  /** As they are. */
  fields<K extends string>(names: readonly K[]): Record<K, unknown> {
    return Object.fromEntries(names.map((name) => [name, this.#value[name]])) as Record<K, unknown>;
  }

  socketAddress(name: string): SocketAddress {
    const reader = this.object(name);
    const address = reader.text('address', 45);
    if (isIP(address) === 0) throw reader.fail('address', `${JSON.stringify(address)} is not an IPv4 or IPv6 address`);
    return { address, port: reader.integer('port', 1, 65_535) };
  }

  fail(name: string, rule: string): RegistryError {
    return invalid(`${this.#path}.${name}`, rule);
  }
}

export function invalid(path: string, rule: string): RegistryError {
  return new RegistryError('INVALID', `${path} ${rule}`);
}

/** Throws RegistryError INVALID. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new RegistryError('INVALID', 'the record is not JSON', error);
  }
}
