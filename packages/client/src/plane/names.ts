// What is a name of the mesh by its form alone, before any configuration has come.
import { MESH_DOMAIN } from '@heddle/core';

const IN_MESH = new RegExp(`(?:^|\\.)${MESH_DOMAIN.replaceAll('.', '\\.')}(?::\\d+)?$`, 'i');

/** @param authority `host` or `host:port` */
export function isMeshName(authority: string): boolean {
  return IN_MESH.test(authority);
}
