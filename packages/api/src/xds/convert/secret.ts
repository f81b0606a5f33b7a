// The mesh's roots as an SDS validation context, and the identities that are refused in spite of them. Certificates with keys never travel this way: they are rejected as unsupported.
import type { TrustBundle } from '@heddle/core';
import type { Secret } from '../../gen/envoy/envoy/extensions/transport_sockets/tls/v3/secret.ts';
import { IdentityValidator } from '../../gen/own/heddle/config/v1/security.ts';
import { KIND_TITLES } from '../kinds.ts';
import { atLeastOne, listed, spiffeText } from './extension.ts';
import { At } from './rejection.ts';
import { pack, unpack } from './strict.ts';
import { METADATA_NAMESPACE, required, requiredText } from './values.ts';

/** Names are for people: the type decides. */
const VALIDATOR_NAME = METADATA_NAMESPACE;

export function encodeTrustBundle({ name, rootsPem, denied }: TrustBundle): Secret {
  const ids = listed(denied, new At(`${KIND_TITLES.secret} '${name}'`).field('denied'));
  return {
    name,
    type: {
      $case: 'validationContext',
      value: {
        trustedCa: { specifier: { $case: 'inlineString', value: rootsPem } },
        ...(ids.length > 0 && {
          customValidatorConfig: { name: VALIDATOR_NAME, typedConfig: pack(IdentityValidator, { denied: [...ids] }) },
        }),
      },
    },
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
  const rootsPem = requiredText(pem, inside.field('trusted_ca'));
  if (context.customValidatorConfig === undefined) return { name, rootsPem };
  const validatorAt = inside.field('custom_validator_config').field('typed_config');
  const validator = unpack(IdentityValidator, context.customValidatorConfig.typedConfig, validatorAt);
  const denied = atLeastOne(validator.denied, validatorAt.field('denied'));
  return { name, rootsPem, denied: denied.map((id, index) => spiffeText(id, validatorAt.item('denied', index))) };
}
