// The door to heddle.identity.v1: how a workload gets its certificate.
import { IdentityDefinition } from '../gen/own/heddle/identity/v1/identity.ts';
import { serviceOf } from './method.ts';

export {
  LateRenewal,
  SignRequest,
  SignResponse,
  WatchTrustRequest,
  WatchTrustResponse,
} from '../gen/own/heddle/identity/v1/identity.ts';

/** For `Server.addService`, and for calls. */
export const IdentityService = serviceOf(IdentityDefinition);
