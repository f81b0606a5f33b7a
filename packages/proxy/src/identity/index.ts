export * from './identity-keeper.ts';
export * from './identity-store.ts';
export type { ControlAddress, HeldIdentity } from './sign-call.ts';
