// Where every part of the control plane tells what has happened, for people: `heddle get events` and the API show it.

export type EventKind =
  | 'service-declared'
  | 'service-changed'
  | 'service-removed'
  | 'egress-changed'
  | 'security-changed'
  | 'telemetry-changed'
  | 'mesh-file-applied'
  | 'mesh-file-kept'
  | 'mesh-file-read'
  | 'instance-registered'
  | 'instance-deregistered'
  | 'instance-expired'
  | 'instance-health'
  | 'mass-expiry'
  | 'data-plane-connected'
  | 'data-plane-disconnected'
  | 'data-plane-rejected'
  | 'route-refused'
  | 'token-created'
  | 'token-revoked'
  | 'identity-renewed-late'
  | 'identity-denied'
  | 'identity-allowed'
  | 'root-rotation'
  | 'anomaly';

export interface EventSink {
  /** `subject`: what it is about, `<namespace>/<service>/<instance>` for example. `message`: one line, with the reason. */
  record(kind: EventKind, subject: string, message: string): void;
}
