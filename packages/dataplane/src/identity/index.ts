export { callControl, type ControlStream, openControlStream, workloadChannel } from './control-channel.ts';
export * from './identity-keeper.ts';
export * from './identity-store.ts';
export type { ControlAddress, HeldIdentity, JoinErrorCode } from './sign-call.ts';
