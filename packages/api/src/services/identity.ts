// The door to heddle.identity.v1: how a workload gets its certificate.

export {
  IdentityClient,
  type IdentityServer,
  IdentityService,
  LateRenewal,
  SignRequest,
  SignResponse,
} from '../gen/own/heddle/identity/v1/identity.ts';
