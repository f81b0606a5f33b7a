// What Envoy answers by itself, told as our own data planes tell it: the code in `x-heddle-error`, by which callers know what may be tried
// again, and the status that belongs to it.
import { ERROR_HEADER, type ErrorCode, ERRORS, type Listener } from '@heddle/core';
import { HeaderValueOption_HeaderAppendAction } from '../../../gen/foreign/envoy/config/core/v3/base.ts';
import type {
  LocalReplyConfig,
  ResponseMapper,
} from '../../../gen/foreign/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.ts';

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

export function localReplies(direction: Listener['direction']): LocalReplyConfig {
  return { mappers: (direction === 'inbound' ? INBOUND : OUTBOUND).map(([code, flags]) => mapper(code, flags)) };
}

function mapper(code: ErrorCode, flags: readonly string[]): ResponseMapper {
  return {
    filter: { filterSpecifier: { $case: 'responseFlagFilter', value: { flags: [...flags] } } },
    ...(!OWN_STATUS.includes(code) && { statusCode: ERRORS[code].httpStatus }),
    headersToAdd: [
      { header: { key: ERROR_HEADER, value: code }, appendAction: HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD },
    ],
  };
}
