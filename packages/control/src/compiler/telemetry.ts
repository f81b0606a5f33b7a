// What listeners are told about traces and access logs: as the mesh has it, but for what a service has of its own.
import type { AccessLogChoice, AccessLogPolicy, HttpFilter, Service, TelemetryConfig } from '@heddle/core';

export type ListenerTelemetry = Pick<HttpFilter, 'tracing' | 'accessLog'>;

/** @param service whose instance the listener belongs to; absent: it is everybody's. */
export function listenerTelemetry({ tracing, accessLog }: TelemetryConfig, service?: Service): ListenerTelemetry {
  const own = service?.telemetry;
  const log = accessLog && logOf(accessLog, own?.accessLog);
  // Nothing would ever be written.
  const isSilent = log === undefined || (log.samplePercent === 0 && log.restPercent === 0);
  return {
    ...(tracing && { tracing: { ...tracing, samplePercent: own?.samplePercent ?? tracing.samplePercent } }),
    ...(!isSilent && { accessLog: log }),
  };
}

/** A choice counts as a whole: conditions of the mesh do not show through. */
function logOf({ format, to, headers, ...ofMesh }: AccessLogPolicy, own: AccessLogChoice = ofMesh): AccessLogPolicy {
  return { format, to, ...own, headers };
}
