// Who may call whom, as the store holds it: one JSON text in parts, because a value has a limit that a thousand rules exceed. All parts are
// written in one transaction. Nothing is written of a mesh that says nothing about security.
import { isDeepStrictEqual } from 'node:util';
import { DEFAULT_SECURITY } from '@heddle/core';
import type { SecurityConfig } from '@heddle/core';
import { POLICY_LIMITS } from '../schema/limits.ts';
import { SecurityRecord } from '../schema/security.ts';
import { RegistryError } from './errors.ts';
import { securityStoreKey } from './keys.ts';
import { asciiJson, inParts } from './parts.ts';
import { parseJson } from './reader.ts';
import { readRecord } from './service-record.ts';

/** What holds while what was written cannot be read: nobody may do anything. */
export const UNREADABLE_SECURITY: SecurityConfig = { ...DEFAULT_SECURITY, access: { default: 'deny', rules: [] } };

/** By key in the store. Throws RegistryError: LIMIT, INVALID. */
export function securityParts(security: SecurityConfig): Map<string, string> {
  if (isDeepStrictEqual(security, DEFAULT_SECURITY)) return new Map();
  const text = asciiJson(security);
  if (text.length > POLICY_LIMITS.securityChars)
    throw new RegistryError(
      'LIMIT',
      `security: what is declared has ${text.length} characters as JSON, the registry takes ${POLICY_LIMITS.securityChars}; write fewer or shorter rules`,
    );
  // What cannot be read back must not be written.
  readSecurity([text]);
  return inParts(text, securityStoreKey);
}

/** Throws RegistryError INVALID that names the field. No parts: the default. */
export function readSecurity(parts: readonly string[]): SecurityConfig {
  if (parts.length === 0) return DEFAULT_SECURITY;
  return readRecord(SecurityRecord, parseJson(parts.join('')), 'security');
}
