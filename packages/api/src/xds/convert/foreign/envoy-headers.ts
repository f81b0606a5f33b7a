// Header changes in Envoy's words. What a value speaks of has other names there.
import type { HeaderChanges } from '@heddle/core';
import { type HeaderValueOption, HeaderValueOption_HeaderAppendAction } from '../../../gen/foreign/envoy/config/core/v3/base.ts';
import type { At } from '../rejection.ts';

export interface EnvoyHeaderChanges {
  requestHeadersToAdd?: HeaderValueOption[];
  requestHeadersToRemove?: string[];
  responseHeadersToAdd?: HeaderValueOption[];
  responseHeadersToRemove?: string[];
}

/** Of an Envoy's way in, where the caller is known, or of its way out, where it is its own workload. */
export type Direction = 'inbound' | 'outbound';

/** The early changes of envoy-http.ts have put the identity of the caller there. */
const PEER = '%REQ(x-heddle-peer)%';

interface RequestAndResponse {
  readonly requestHeaders?: HeaderChanges;
  readonly responseHeaders?: HeaderChanges;
}

/**
 * Several changes as one, the most general first, so that the most specific has the last word. Envoy would ask the cluster before the route.
 * Throws XdsRejection for values that Envoy cannot fill in.
 */
export function envoyHeaderChanges(changes: readonly RequestAndResponse[], direction: Direction, at: At): EnvoyHeaderChanges {
  const request = changes.flatMap(({ requestHeaders }) => requestHeaders ?? []);
  const response = changes.flatMap(({ responseHeaders }) => responseHeaders ?? []);
  return {
    ...(request.length > 0 && {
      requestHeadersToAdd: options(request, direction, at.field('request_headers')),
      requestHeadersToRemove: request.flatMap(({ remove }) => remove),
    }),
    ...(response.length > 0 && {
      responseHeadersToAdd: options(response, direction, at.field('response_headers')),
      responseHeadersToRemove: response.flatMap(({ remove }) => remove),
    }),
  };
}

/** Envoy removes first, then sets and adds: so do ours. What a later change sets or removes, an earlier one has not said. */
function options(changes: readonly HeaderChanges[], direction: Direction, at: At): HeaderValueOption[] {
  const { OVERWRITE_IF_EXISTS_OR_ADD, APPEND_IF_EXISTS_OR_ADD } = HeaderValueOption_HeaderAppendAction;
  const option = ([key, value]: [string, string], appendAction: HeaderValueOption_HeaderAppendAction): HeaderValueOption => ({
    header: { key, value: formatted(value, direction, at.field(key)) },
    appendAction,
    keepEmptyValue: true,
  });
  return changes.flatMap(({ set, add }, index) => {
    const later = changes.slice(index + 1);
    const counts = ([name]: [string, string]): boolean =>
      !later.some((change) => Object.hasOwn(change.set, name) || change.remove.includes(name));
    return [
      ...Object.entries(set)
        .filter(counts)
        .map((entry) => option(entry, OVERWRITE_IF_EXISTS_OR_ADD)),
      ...Object.entries(add)
        .filter(counts)
        .map((entry) => option(entry, APPEND_IF_EXISTS_OR_ADD)),
    ];
  });
}

function formatted(value: string, direction: Direction, at: At): string {
  return value.trim().replace(/%([^%]*)%/g, (_, name: string) => {
    if (name === '') return '%%';
    if (name === 'REQUEST_ID') return '%REQ(x-request-id)%';
    if (name === 'SOURCE_ADDRESS') return '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%';
    if (name !== 'SOURCE_IDENTITY') return at.reject(`%${name}% is not known`);
    return direction === 'inbound' ? PEER : at.reject('%SOURCE_IDENTITY%: an Envoy does not know its own identity when it changes headers');
  });
}
