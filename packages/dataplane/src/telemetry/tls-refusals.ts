// Refused TLS handshakes of listeners and of clusters, in the words of each.
import { DOWNSTREAM_METRICS, UPSTREAM_METRICS } from '@heddle/core';
import type { Clock, Logger, Metrics } from '@heddle/runtime';
import { TlsRefusals } from '@heddle/runtime';

interface Around {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** By a listener. */
export function refusedCallers({ clock, logger, metrics }: Around, listener: string): TlsRefusals {
  return new TlsRefusals({
    clock,
    logger,
    message: 'a connection was refused in its TLS handshake',
    fields: { listener },
    counterOf: (reason) => metrics.counter(DOWNSTREAM_METRICS.refusedHandshakes, { listener, reason }),
  });
}

/** By those who call a cluster. */
export function refusedInstances({ clock, logger, metrics }: Around, cluster: string): TlsRefusals {
  return new TlsRefusals({
    clock,
    logger,
    message: 'no connection to an instance: its TLS handshake came to nothing',
    fields: { cluster },
    counterOf: (reason) => metrics.counter(UPSTREAM_METRICS.tlsFailures, { cluster, reason }),
  });
}
