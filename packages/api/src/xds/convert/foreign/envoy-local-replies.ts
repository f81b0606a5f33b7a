// What Envoy answers by itself, told as our own data planes tell it: the code in `x-heddle-error`, by which callers know what may be tried
// again, and the status that belongs to it.
import { ERROR_HEADER, type ErrorCode, ERRORS, type Listener } from '@heddle/core';
import type { AccessLogFilter } from '../../../gen/foreign/envoy/config/accesslog/v3/accesslog.ts';
import { type HeaderValueOption, HeaderValueOption_HeaderAppendAction } from '../../../gen/foreign/envoy/config/core/v3/base.ts';
import type {
  LocalReplyConfig,
  ResponseMapper,
} from '../../../gen/foreign/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.ts';
import { ExpressionFilter } from '../../../gen/foreign/envoy/extensions/access_loggers/filters/cel/v3/cel.ts';
import { pack } from '../strict.ts';
import { matching } from './envoy-match.ts';
import { FORM_RULE } from './envoy-tokens.ts';

const DETAILS_FILTER = 'envoy.access_loggers.extension_filters.cel';

/** Envoy's response flags and what they mean here; the first that fits counts. */
const OUTBOUND: readonly (readonly [ErrorCode, readonly string[]])[] = [
  ['NO_SUCH_SERVICE', ['NR', 'NC']],
  ['NO_HEALTHY_INSTANCE', ['UH']],
  ['RATE_LIMITED', ['RL']],
  ['FAULT_INJECTED', ['FI']],
  ['CIRCUIT_OPEN', ['UO']],
  ['OVERLOADED', ['OM']],
  ['CONNECT_FAILED', ['UF']],
  ['REQUEST_TIMEOUT', ['UT', 'DT', 'UMSDR']],
  ['IDLE_TIMEOUT', ['SI']],
  ['UPSTREAM_PROTOCOL', ['UPE']],
  ['UPSTREAM_RESET', ['UC', 'UR', 'LR']],
  ['BAD_REQUEST', ['DPE']],
];
/** On the way in, what cannot be reached is the application, and a limit is that of this instance: another one may have room. */
const INBOUND_CODES: Partial<Readonly<Record<ErrorCode, ErrorCode>>> = {
  CONNECT_FAILED: 'APPLICATION_REFUSED',
  CIRCUIT_OPEN: 'OVERLOADED',
};
const INBOUND: typeof OUTBOUND = OUTBOUND.map(([code, flags]) => [INBOUND_CODES[code] ?? code, flags]);
/** Too large a head has a status of its own, and a fault that of its rule, which must stay. */
const OWN_STATUS: readonly ErrorCode[] = ['BAD_REQUEST', 'FAULT_INJECTED'];

/** As Envoy makes gRPC's statuses of HTTP's, unless it is told (https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md). */
const GRPC_OF_HTTP: Readonly<Record<number, number>> = { 400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14 };
const UNKNOWN = 2;
const IS_GRPC: AccessLogFilter = {
  filterSpecifier: { $case: 'headerFilter', value: { header: matching('content-type', 'application/grpc(?:\\+[a-z]+)?') } },
};

export function localReplies(direction: Listener['direction']): LocalReplyConfig {
  if (direction === 'outbound') return { mappers: OUTBOUND.flatMap(([code, flags]) => mappers(code, flags)) };
  return { mappers: [...ACCESS, ...INBOUND.flatMap(([code, flags]) => mappers(code, flags))] };
}

/** What Envoy notes about requests that its filters for access refuse. The status of an authorizer's answer stays. */
const ACCESS: readonly ResponseMapper[] = [
  refused('TOKEN_INVALID', `rbac_access_denied_matched_policy[${FORM_RULE}]`, true),
  refused('ACCESS_DENIED', 'rbac_access_denied', true),
  refused('TOKEN_INVALID', 'jwt_authn_access_denied', true),
  refused('AUTHORIZER_UNAVAILABLE', 'ext_authz_error', true),
  refused('ACCESS_DENIED', 'ext_authz_denied', false),
];

function refused(code: ErrorCode, details: string, setsStatus: boolean): ResponseMapper {
  const expression = `response.code_details.startsWith(${JSON.stringify(details)})`;
  const extension = { name: DETAILS_FILTER, configType: { $case: 'typedConfig' as const, value: pack(ExpressionFilter, { expression }) } };
  return {
    filter: { filterSpecifier: { $case: 'extensionFilter', value: extension } },
    ...(setsStatus && { statusCode: ERRORS[code].httpStatus }),
    headersToAdd: [header(ERROR_HEADER, code)],
  };
}

/** The first that fits counts. */
function mappers(code: ErrorCode, flags: readonly string[]): ResponseMapper[] {
  const hasFlag: AccessLogFilter = { filterSpecifier: { $case: 'responseFlagFilter', value: { flags: [...flags] } } };
  const { httpStatus, grpcStatus } = ERRORS[code];
  const hasOwnStatus = OWN_STATUS.includes(code);
  const forAll: ResponseMapper = {
    filter: hasFlag,
    ...(!hasOwnStatus && { statusCode: httpStatus }),
    headersToAdd: [header(ERROR_HEADER, code)],
  };
  if (hasOwnStatus || grpcStatus === (GRPC_OF_HTTP[httpStatus] ?? UNKNOWN)) return [forAll];
  const filter: AccessLogFilter = { filterSpecifier: { $case: 'andFilter', value: { filters: [hasFlag, IS_GRPC] } } };
  return [{ ...forAll, filter, headersToAdd: [header(ERROR_HEADER, code), header('grpc-status', String(grpcStatus))] }, forAll];
}

function header(key: string, value: string): HeaderValueOption {
  return { header: { key, value }, appendAction: HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD };
}
