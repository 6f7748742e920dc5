import fc from 'fast-check';
import { expect, it } from 'vitest';
import { plainText } from '../../glance/plaintext.ts';

it.each([
  ['', ''],
  ['404 Not Found\n\nNo image found with ID 1\n\n   ', 'No image found with ID 1'],
  [
    '<html>\n <head>\n  <title>409 Conflict</title>\n </head>\n <body>\n  <h1>409 Conflict</h1>\n  Image 1 exists!<br /><br />\n\n\n\n </body>\n</html>',
    'Image 1 exists!',
  ],
  ['{"message": "No image &#x27;1&#x27;<br /><br />\\n\\n\\n", "code": "404 Not Found"}', "No image '1'"],
  ['{"error": 5}', '{"error": 5}'],
  ['{broken', '{broken'],
  ['<script>alert(1)</script>Sorry &unknown; &amp;lt;', 'Sorry &unknown; &lt;'],
])('finds the sentence in %j', (body, sentence) => {
  expect(plainText(body)).toBe(sentence);
});

it('gives one short line whatever a server sends', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 2000, unit: 'binary' }), (body) => {
      expect(plainText(body).length).toBeLessThanOrEqual(300);
      expect(plainText(body)).not.toMatch(/[\n\r\t]/);
    }),
  );
});
/** Bodies that make an expression with two unbounded parts look at each character again and again. */
it.each<[string, (length: number) => string]>([
  ['tags that are never closed', (length) => '<'.repeat(length)],
  ['elements that are never closed', (length) => '<head'.repeat(length / 5)],
  ['elements that are closed by others', (length) => '<head></h1>'.repeat(length / 11)],
  ['entities that are never closed', (length) => '&a'.repeat(length / 2)],
  ['spaces', (length) => ' '.repeat(length)],
  ['digits and spaces', (length) => `${' \n'.repeat(length / 2)}404 N`],
  ['JSON in JSON', (length) => '{"a":'.repeat(length / 5)],
])('takes no longer than its length for %s', (_, body) => {
  const long = body(4 * 2 ** 20);
  const before = process.cpuUsage();
  plainText(long);
  expect(process.cpuUsage(before).user / 1000).toBeLessThan(500);
});
