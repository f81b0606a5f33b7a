// Why a workload that is described well cannot be hosted here and now.

export type HostingErrorKind =
  /** Another workload of this data plane has the port, or the shared proxy. */
  | 'port-taken'
  /** The data plane holds as many workloads as it may. */
  | 'full'
  /** The data plane speaks with the identity of another service, which may not ask for this one's configuration. */
  | 'foreign-service'
  | 'draining';

/** The message says what to do instead. */
export class HostingError extends Error {
  readonly kind: HostingErrorKind;

  constructor(kind: HostingErrorKind, message: string) {
    super(message);
    this.kind = kind;
  }
}
