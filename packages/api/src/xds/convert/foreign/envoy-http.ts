// HTTP at an Envoy: limits, and headers that come, go and stay as at our own data planes. Envoy would take orders from headers of a request
// (`x-envoy-*`), cut trailers off, answer `expect` itself, put its name into responses and know nothing of ours.
import { DEFAULT_LIMITS, type HttpFilter, type Listener, lookalikes } from '@heddle/core';
import type { HeaderMutation as Mutation } from '../../../gen/foreign/envoy/config/common/mutation_rules/v3/mutation_rules.ts';
import { HeaderValueOption_HeaderAppendAction } from '../../../gen/foreign/envoy/config/core/v3/base.ts';
import type { Filter } from '../../../gen/foreign/envoy/config/listener/v3/listener_components.ts';
import { Router } from '../../../gen/foreign/envoy/extensions/filters/http/router/v3/router.ts';
import {
  HttpConnectionManager,
  HttpConnectionManager_CodecType,
  HttpConnectionManager_PathWithEscapedSlashesAction,
  HttpConnectionManager_ServerHeaderTransformation,
  type HttpFilter as EnvoyHttpFilter,
} from '../../../gen/foreign/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.ts';
import { HeaderMutation } from '../../../gen/foreign/envoy/extensions/http/early_header_mutation/header_mutation/v3/header_mutation.ts';
import { pack } from '../strict.ts';
import { adsSource, encodeDuration } from '../values.ts';
import { accessFilters, deniedIdentitiesFilter } from './envoy-access.ts';
import { HTTP1, HTTP2 } from './envoy-cluster.ts';
import { routeFilters } from './envoy-filters.ts';
import { localReplies } from './envoy-local-replies.ts';

const PEER_HEADER = 'x-heddle-peer';
/** What some applications cannot tell from it. */
const LIKE_PEER_HEADER = lookalikes([PEER_HEADER]);
/** The router does as these say, whoever sends them. */
const ORDERS = [
  'x-envoy-upstream-rq-timeout-ms',
  'x-envoy-upstream-rq-per-try-timeout-ms',
  'x-envoy-upstream-rq-timeout-alt-response',
  'x-envoy-upstream-alt-stat-name',
  'x-envoy-upstream-stream-duration-ms',
  'x-envoy-expected-rq-timeout-ms',
  'x-envoy-max-retries',
  'x-envoy-retry-on',
  'x-envoy-retry-grpc-on',
  'x-envoy-retriable-status-codes',
  'x-envoy-retriable-header-names',
  'x-envoy-hedge-on-per-try-timeout',
  'x-envoy-decorator-operation',
  'x-envoy-force-trace',
  'x-envoy-ip-tags',
  'x-envoy-is-timeout-retry',
  'x-envoy-attempt-count',
];
const BYTES_PER_KB = 1_024;

/** What virtual hosts say that Envoy wants to hear here. */
export interface HostFilters {
  readonly tokens: readonly EnvoyHttpFilter[];
  readonly authorizer: readonly EnvoyHttpFilter[];
  /** Rules look at paths: they get the form that rules compare. */
  readonly readsPaths: boolean;
}

export const NO_FILTERS: HostFilters = { tokens: [], authorizer: [], readsPaths: false };

export function encodeEnvoyHttp(
  { routeConfigName, useRemoteAddress }: Pick<HttpFilter, 'routeConfigName' | 'useRemoteAddress'>,
  { name, direction, tls }: Listener,
  { tokens, authorizer, readsPaths }: HostFilters = NO_FILTERS,
  telemetry: Pick<HttpConnectionManager, 'tracing' | 'accessLog' | 'requestIdExtension'> = {},
): Filter {
  const isInbound = direction === 'inbound';
  const limits = DEFAULT_LIMITS;
  const manager: HttpConnectionManager = {
    codecType: HttpConnectionManager_CodecType.AUTO,
    statPrefix: name,
    routeSpecifier: { $case: 'rds', value: { configSource: adsSource(), routeConfigName } },
    httpFilters: [
      ...(isInbound ? [deniedIdentitiesFilter(), ...tokens, ...accessFilters(), ...authorizer] : []),
      ...routeFilters(),
      { name: 'envoy.filters.http.router', configType: { $case: 'typedConfig', value: pack(Router, { suppressEnvoyHeaders: true }) } },
    ],
    commonHttpProtocolOptions: { idleTimeout: encodeDuration(limits.downstreamIdleTimeoutMs), maxHeadersCount: limits.headerCountMax },
    httpProtocolOptions: HTTP1,
    http2ProtocolOptions: isInbound ? HTTP2 : { ...HTTP2, initialConnectionWindowSize: limits.clientWindowBytes },
    streamIdleTimeout: encodeDuration(limits.streamIdleTimeoutMs),
    requestHeadersTimeout: encodeDuration(limits.requestHeadTimeoutMs),
    maxRequestHeadersKb: limits.headerBytesMax / BYTES_PER_KB,
    // Each kind of upgrade must be named; this is the one that is used. CONNECT is allowed by the routes for it.
    upgradeConfigs: [{ upgradeType: 'websocket' }],
    preserveExternalRequestId: true,
    serverHeaderTransformation: HttpConnectionManager_ServerHeaderTransformation.PASS_THROUGH,
    proxy100Continue: true,
    ...(readsPaths && {
      normalizePath: true,
      mergeSlashes: true,
      // Rules refuse them as our own data planes do: where it matters what a path means.
      pathWithEscapedSlashesAction: HttpConnectionManager_PathWithEscapedSlashesAction.KEEP_UNCHANGED,
    }),
    ...telemetry,
    localReplyConfig: localReplies(direction),
    earlyHeaderMutationExtensions: [
      {
        name: 'envoy.http.early_header_mutation.header_mutation',
        // Between data planes TLS is the mesh's affair.
        typedConfig: pack(HeaderMutation, { mutations: mutations(isInbound, useRemoteAddress === true, tls !== undefined && !isInbound) }),
      },
    ],
  };
  return {
    name: 'envoy.filters.network.http_connection_manager',
    configType: { $case: 'typedConfig', value: pack(HttpConnectionManager, manager) },
  };
}

/**
 * Before Envoy looks at the request. Its own `use_remote_address` would do the same to `x-forwarded-for`, and write over an
 * `x-forwarded-proto` that is there.
 */
function mutations(isInbound: boolean, useRemoteAddress: boolean, isHttps: boolean): Mutation[] {
  const { APPEND_IF_EXISTS_OR_ADD, ADD_IF_ABSENT, OVERWRITE_IF_EXISTS_OR_ADD } = HeaderValueOption_HeaderAppendAction;
  const remove = (key: string): Mutation => ({ action: { $case: 'remove', value: key } });
  const put = (key: string, value: string, appendAction: HeaderValueOption_HeaderAppendAction): Mutation => ({
    action: { $case: 'append', value: { header: { key, value }, appendAction } },
  });
  return [
    ...ORDERS.map(remove),
    // Envoy's own setting would put it into responses, too.
    put('via', isInbound ? '2 heddle' : '1.1 heddle', APPEND_IF_EXISTS_OR_ADD),
    // Envoy leaves a header out whose value is empty: nobody is named where nobody was proven.
    isInbound ? put(PEER_HEADER, '%DOWNSTREAM_PEER_URI_SAN%', OVERWRITE_IF_EXISTS_OR_ADD) : remove(PEER_HEADER),
    ...LIKE_PEER_HEADER.map(remove),
    remove('proxy-authorization'),
    ...(useRemoteAddress
      ? [
          put('x-forwarded-for', '%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%', APPEND_IF_EXISTS_OR_ADD),
          put('x-forwarded-proto', isHttps ? 'https' : 'http', ADD_IF_ABSENT),
        ]
      : []),
  ];
}
