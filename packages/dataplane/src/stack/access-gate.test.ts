import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { lookalikes } from './access-gate.ts';

/** How CGI names a header (RFC 3875 §4.1.18). */
const cgi = (name: string): string => `HTTP_${name.toUpperCase().replaceAll('-', '_')}`;

describe('names that look alike', () => {
  it('are all that CGI cannot tell from the given ones, without these', () => {
    const found = lookalikes(['x-user-id', 'x_role', 'plain']);
    assert.deepEqual(
      found.sort((a, b) => a.localeCompare(b)),
      ['x_user_id', 'x_user-id', 'x-user_id', 'x-role'].sort((a, b) => a.localeCompare(b)),
    );
    for (const name of found) assert.ok(['x-user-id', 'x_role'].some((real) => cgi(real) === cgi(name)));
  });

  it('are few also for names with many dashes', () => {
    assert.equal(lookalikes(['a-b-c-d-e-f-g']).length, 63);
    assert.deepEqual(lookalikes(['a-b-c-d-e-f-g-h']), ['a_b_c_d_e_f_g_h']);
    assert.deepEqual(lookalikes([]), []);
  });
});
