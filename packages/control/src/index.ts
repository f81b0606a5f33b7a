// The public door of @heddle/control: start a control plane; the errors with which that can fail.
export { startControl } from './start.ts';
export type { ControlOptions } from './options.ts';
export type { ControlAddress, RunningControl } from './start.ts';
export { AuthorityError, PASSPHRASE_VARIABLE, readPassphrase } from './ca/index.ts';
export type { CaSource } from './ca/index.ts';
export { RegistryError } from './registry/errors.ts';
export { StoreError } from './registry/store.ts';
export { ListenError } from './server/listening.ts';
