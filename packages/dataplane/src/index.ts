// The public door of @heddle/dataplane: the data path, and the terms in which workloads are
// hosted on it. Nothing behind it loads gRPC or protobuf, which are a third of the memory of a proxy;
// what speaks to a control plane lies behind `@heddle/dataplane/agent`.
export * from './data-plane.ts';
export { checkConflicts } from './data-plane-resources.ts';
export { HostingError } from './agent/hosting-error.ts';
export { parseLeaveWish } from './agent/leave-wish.ts';
export { parseWorkloadSpec, sameWorkload, type WorkloadSpec, WorkloadSpecError, workloadName } from './agent/workload-spec.ts';
export { HealthMonitor, type Verdict } from './agent/health-monitor.ts';
export { sendProbe } from './upstream/probe.ts';
export { TapSender } from './telemetry/tap/sender.ts';
