// The door `@heddle/dataplane/agent`: a data plane's side of the control plane.
export { Agent, type LeaveWish } from './agent.ts';
export type { HostingDeps, WorkloadBinding } from './hosted-workload.ts';
export { ConfigurationKeeper } from './kept-configuration.ts';
export type { ResourceFollower } from './resource-follower.ts';
