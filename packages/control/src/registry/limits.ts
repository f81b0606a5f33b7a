// How much anybody can make the registry hold. One instance costs some 2 kB in memory and as much on the disk.

export interface RegistryLimits {
  readonly instancesMax: number;
  readonly instancesPerServiceMax: number;
  readonly labelsMax: number;
  readonly labelNameCharsMax: number;
  readonly labelValueCharsMax: number;
  readonly outboundsMax: number;
  readonly nodeCharsMax: number;
  readonly versionCharsMax: number;
  /** Longer reasons are cut: they come from error messages of other programs. */
  readonly reasonCharsMax: number;
  /** Outside detectors that hold a verdict about one instance. */
  readonly detectorsPerInstanceMax: number;
  readonly leaseTtlMsMin: number;
  readonly leaseTtlMsMax: number;
  readonly leaseTtlMsDefault: number;
  /** How long an instance is kept whose lease ended together with most others of its service. */
  readonly keptMs: number;
}

export const REGISTRY_LIMITS: RegistryLimits = {
  instancesMax: 20_000, // twice the largest mesh that is measured
  instancesPerServiceMax: 5_000, // every change of one sorts and sends them all
  labelsMax: 64, // these four as the contract allows them
  labelNameCharsMax: 317,
  labelValueCharsMax: 256,
  outboundsMax: 1_000,
  nodeCharsMax: 253, // a host name
  versionCharsMax: 128,
  reasonCharsMax: 300,
  detectorsPerInstanceMax: 16,
  leaseTtlMsMin: 1_000, // below it a garbage collection ends leases
  leaseTtlMsMax: 300_000, // above it nobody would call a crash detected
  leaseTtlMsDefault: 10_000,
  keptMs: 600_000, // long enough for somebody to look; connect failures keep callers away from those that are really gone
};

/** The lease time given for the one wished for; 0 means no wish. */
export function leaseTtlMs(wishedMs: number, limits: RegistryLimits = REGISTRY_LIMITS): number {
  if (wishedMs === 0) return limits.leaseTtlMsDefault;
  return Math.min(limits.leaseTtlMsMax, Math.max(limits.leaseTtlMsMin, Math.round(wishedMs)));
}
