// Metrics of the control plane.
import { metricsOf } from './definition.ts';

const { counter, gauge } = metricsOf('control plane');

export const CONTROL_METRICS = {
  dataPlanes: gauge('heddle_control_data_planes', 'Data planes that are connected, by `heddle`, `envoy` or `grpc`.', 'kind'),
  behind: gauge(
    'heddle_control_data_planes_behind',
    'Connected data planes that have not applied what they were sent: `behind` may still do it, `rejected` have refused a part.',
    'state',
  ),
  longestBehind: gauge('heddle_control_longest_behind_seconds', 'How long the data plane that is behind longest has been so; 0: none is.'),
  services: gauge('heddle_control_services', 'Services that are declared.'),
  instances: gauge('heddle_control_instances', 'Registered instances by the verdict on them.', 'service', 'state'),
  revision: gauge('heddle_control_registry_revision', 'Revision of the registry: grows with each change.'),
  events: counter('heddle_control_events_total', 'What `heddle get events` shows, by kind.', 'kind'),
  calls: counter('heddle_control_rest_requests_total', 'Calls of the REST API, by operation of its document and status.', 'action', 'code'),
  certificates: gauge('heddle_control_certificates', 'Certificates of workloads that were issued and have not ended.'),
  authorityLeft: gauge('heddle_control_authority_seconds_left', 'Until the root certificate of the mesh ends; negative when it has ended.'),
  serverLeft: gauge('heddle_control_certificate_seconds_left', "Until the certificate of the control plane's own server ends."),
} as const;
