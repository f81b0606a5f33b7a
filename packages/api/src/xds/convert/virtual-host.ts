// What a virtual host says beside its domains and routes: heddle.config.v1.VirtualHostExtension.
import type { VirtualHost } from '@heddle/core';
import type { Metadata } from '../../gen/envoy/envoy/config/core/v3/base.ts';
import { VirtualHostExtension } from '../../gen/own/heddle/config/v1/security.ts';
import { decodeAccess, decodeCallers, encodeAccess, encodeCallers } from './access.ts';
import { decodeExtension, extensionAt, listed, withExtension } from './extension.ts';
import type { At } from './rejection.ts';
import { decodeAttached, decodeTokens, encodeAttached, encodeTokens } from './tokens.ts';
import { decodeMetadata } from './values.ts';

export type HostPolicies = Pick<VirtualHost, 'access' | 'tokens' | 'callers' | 'attach'>;

/** No metadata at all where there is nothing to say. */
export function encodeHostPolicies({ access, tokens, callers, attach }: HostPolicies, at: At): { metadata?: Metadata } {
  const inside = extensionAt(at);
  return withExtension(VirtualHostExtension, {
    ...(access !== undefined && { access: encodeAccess(access, inside.field('access')) }),
    ...(tokens !== undefined && { tokens: encodeTokens(tokens, inside.field('tokens')) }),
    ...(callers !== undefined && { callers: encodeCallers(callers) }),
    ...(attach !== undefined && {
      attach: listed(attach, inside.field('attach')).map((one, index) => encodeAttached(one, inside.item('attach', index))),
    }),
  });
}

export function decodeHostPolicies(metadata: Metadata | undefined, at: At): HostPolicies {
  decodeMetadata(metadata, [], at.field('metadata'), true);
  const inside = extensionAt(at);
  const { access, tokens, callers, attach = [] } = decodeExtension(VirtualHostExtension, metadata, inside) ?? {};
  const policy = tokens === undefined ? undefined : decodeTokens(tokens, inside.field('tokens'));
  const issuers = (policy?.issuers ?? []).map(({ name }) => name);
  return {
    ...(access !== undefined && { access: decodeAccess(access, issuers, inside.field('access')) }),
    ...(policy !== undefined && { tokens: policy }),
    ...(callers !== undefined && { callers: decodeCallers(callers, inside.field('callers')) }),
    ...(attach.length > 0 && { attach: attach.map((one, index) => decodeAttached(one, inside.item('attach', index))) }),
  };
}
