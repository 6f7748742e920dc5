import { expectTypeOf, it } from 'vitest';
import type * as client from '../../bin/answers.ts';
import type { JobView } from '../../functions/api/view.ts';
import type { JanitorReport } from '../../functions/janitor/finding.ts';

it('reads answers as the API gives them', () => {
  expectTypeOf<JobView>().toExtend<client.JobView>();
  expectTypeOf<JanitorReport>().toExtend<client.JanitorReport>();
});
