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
