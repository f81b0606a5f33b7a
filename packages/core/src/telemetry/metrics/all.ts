// Every metric there is: for the reference page, and for tests that hold what a mesh shows against it.
import { CONTROL_METRICS } from './control.ts';
import type { MetricDefinition } from './definition.ts';
import { DOWNSTREAM_METRICS, INSTANCE_METRICS, REQUEST_METRICS, STREAM_METRICS, UPSTREAM_METRICS } from './traffic.ts';
import {
  ACCESS_METRICS,
  CONFIGURATION_METRICS,
  DNS_METRICS,
  EXPORT_METRICS,
  IDENTITY_METRICS,
  PROCESS_METRICS,
  TOKEN_METRICS,
} from './upkeep.ts';

/** By what they are about, in the order in which people ask. */
export const METRIC_GROUPS: Readonly<Record<string, readonly MetricDefinition[]>> = {
  Requests: Object.values(REQUEST_METRICS),
  Instances: Object.values(INSTANCE_METRICS),
  Upstreams: Object.values(UPSTREAM_METRICS),
  Downstreams: Object.values(DOWNSTREAM_METRICS),
  'Streams of bytes': Object.values(STREAM_METRICS),
  Configuration: Object.values(CONFIGURATION_METRICS),
  Certificates: Object.values(IDENTITY_METRICS),
  Access: Object.values(ACCESS_METRICS),
  Tokens: Object.values(TOKEN_METRICS),
  'Traces and logs': Object.values(EXPORT_METRICS),
  Names: Object.values(DNS_METRICS),
  Processes: Object.values(PROCESS_METRICS),
  'Control plane': Object.values(CONTROL_METRICS),
};
