// The mesh's roots as an SDS validation context. Certificates with keys never travel this way: they are rejected as unsupported.
import type { TrustBundle } from '@heddle/core';
import type { Secret } from '../../gen/envoy/envoy/extensions/transport_sockets/tls/v3/secret.ts';
import type { At } from './rejection.ts';
import { required, requiredText } from './values.ts';

export function encodeTrustBundle(bundle: TrustBundle): Secret {
  return {
    name: bundle.name,
    type: { $case: 'validationContext', value: { trustedCa: { specifier: { $case: 'inlineString', value: bundle.rootsPem } } } },
  };
}

export function decodeTrustBundle(message: Secret, at: At): TrustBundle {
  const name = requiredText(message.name, at.field('name'));
  const inside = at.field('validation_context');
  const context = required(message.type?.value, inside);
  if ((context.matchTypedSubjectAltNames ?? []).length > 0) {
    inside
      .field('match_typed_subject_alt_names')
      .reject('is not supported in a trust bundle: the cluster or listener says who may be the peer');
  }
  const source = required(context.trustedCa?.specifier, inside.field('trusted_ca'));
  const pem = source.$case === 'inlineString' ? source.value : new TextDecoder().decode(source.value);
  return { name, rootsPem: requiredText(pem, inside.field('trusted_ca')) };
}
