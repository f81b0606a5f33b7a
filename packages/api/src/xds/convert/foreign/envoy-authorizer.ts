// The external authorizer in Envoy's words (ext_authz). Envoy has it in the listener; virtual hosts can only leave it out.
import type { ExternalAuthorizer } from '@heddle/core';
import { ERRORS } from '@heddle/core';
import { ApiVersion } from '../../../gen/foreign/envoy/config/core/v3/config_source.ts';
import { ExtAuthz } from '../../../gen/foreign/envoy/extensions/filters/http/ext_authz/v3/ext_authz.ts';
import type { HttpFilter } from '../../../gen/foreign/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.ts';
import { pack } from '../strict.ts';
import { encodeDuration } from '../values.ts';

const NAME = 'envoy.filters.http.ext_authz';
const UINT32_MAX = 4_294_967_295;

export function authorizerFilter({ cluster, timeoutMs, failOpen, bodyBytesMax }: ExternalAuthorizer): HttpFilter {
  const config: ExtAuthz = {
    services: {
      $case: 'grpcService',
      value: { targetSpecifier: { $case: 'envoyGrpc', value: { clusterName: cluster } }, timeout: encodeDuration(timeoutMs) },
    },
    transportApiVersion: ApiVersion.V3,
    failureModeAllow: failOpen,
    statusOnError: { code: ERRORS.AUTHORIZER_UNAVAILABLE.httpStatus as 503 },
    ...(bodyBytesMax > 0 && {
      withRequestBody: { maxRequestBytes: Math.min(UINT32_MAX, bodyBytesMax), allowPartialMessage: true, packAsBytes: true },
    }),
  };
  return { name: NAME, configType: { $case: 'typedConfig', value: pack(ExtAuthz, config) } };
}
