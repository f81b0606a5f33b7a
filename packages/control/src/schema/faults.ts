// What a schema finds wrong, as field and reason: the same words for bodies of the REST API and for records of the registry.
import type { z } from 'zod';

export interface SchemaFault {
  /** Empty: the whole. */
  readonly path: string;
  readonly message: string;
}

/** Several for fields that are not known. */
export function faultsOf(issue: z.core.$ZodIssue): SchemaFault[] {
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => ({ path: fieldPath([...issue.path, key]), message: 'there is no such field here' }));
  if (issue.code === 'invalid_type' && issue.message.endsWith('received undefined'))
    return [{ path: fieldPath(issue.path), message: `is missing; expected ${issue.expected}` }];
  return [{ path: fieldPath(issue.path), message: plain(issue.message) }];
}

function plain(message: string): string {
  const text = message.replace(/^Invalid (?:input|string|option): /, '').slice(0, 300);
  return `${text.charAt(0).toLowerCase()}${text.slice(1)}`;
}

function fieldPath(path: readonly PropertyKey[]): string {
  return path
    .map((key, index) => (typeof key === 'number' ? `[${key}]` : `${index === 0 ? '' : '.'}${String(key).slice(0, 100)}`))
    .join('');
}
